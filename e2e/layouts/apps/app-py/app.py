from fastapi import FastAPI, HTTPException

app = FastAPI(title="Notes")
notes: dict[int, str] = {1: "buy milk"}


@app.get("/")
def index():
    return {"count": len(notes)}


@app.get("/notes/{note_id}")
def read(note_id: int):
    if note_id not in notes:
        raise HTTPException(404, f"no note {note_id}")
    return {"id": note_id, "text": notes[note_id]}
