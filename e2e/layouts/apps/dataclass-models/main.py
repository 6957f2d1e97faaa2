from dataclasses import asdict, dataclass, field
from datetime import date

from fastapi import FastAPI

app = FastAPI()


@dataclass
class Line:
    text: str
    done: bool = False


@dataclass
class Plan:
    day: date
    lines: list[Line] = field(default_factory=list)


@app.post("/plan")
def plan(plan: Plan) -> Plan:
    plan.lines.append(Line("sleep"))
    return plan


@app.get("/line")
def line():
    return asdict(Line("a"))
