from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

import routes

app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["https://ui.example"], allow_methods=["*"])
app.include_router(routes.router, prefix="/api")
