import os

from bson import ObjectId
from bson.errors import InvalidId
from fastapi import FastAPI, HTTPException
from pymongo import AsyncMongoClient, MongoClient

URI = os.environ.get("PLATFORM_MONGO_URI", "mongodb://127.0.0.1:1")
client = MongoClient(URI, connect=False)
async_client = AsyncMongoClient(URI)
app = FastAPI()


@app.get("/id/{text}")
def read(text: str):
    try:
        return {"made": ObjectId(text).generation_time.isoformat()}
    except InvalidId as error:
        raise HTTPException(422, "no id") from error


@app.get("/names")
def names():
    return [client.get_database("a")["b"].name, async_client["c"].d.full_name]
