from enum import Enum
from typing import Annotated, Literal

from fastapi import Body, FastAPI
from pydantic import BaseModel, EmailStr, Field, computed_field, field_validator

app = FastAPI()


class Size(str, Enum):
    small = "small"
    large = "large"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(9, ge=0)


class Dog(BaseModel):
    kind: Literal["dog"]
    size: Size

    @computed_field
    @property
    def loud(self) -> bool:
        return self.size is Size.large


class Owner(BaseModel):
    mail: EmailStr
    name: str

    @field_validator("name")
    @classmethod
    def not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("blank")
        return value.title()


@app.post("/pet")
def pet(pet: Annotated[Cat | Dog, Body(discriminator="kind")]):
    return pet


@app.post("/owner", response_model=Owner, response_model_exclude={"mail"})
def owner(owner: Owner):
    return owner
