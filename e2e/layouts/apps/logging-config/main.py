import logging
import logging.config

from fastapi import FastAPI, Request

logging.config.dictConfig(
    {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(levelname)s %(name)s %(message)s"}},
        "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"level": "INFO", "handlers": ["out"]},
        "loggers": {"shop": {"level": "DEBUG", "propagate": True}},
    }
)
log = logging.getLogger("shop")
app = FastAPI()


@app.middleware("http")
async def count(request: Request, call_next):
    log.info("%s %s", request.method, request.url.path)
    response = await call_next(request)
    response.headers["x-logged"] = "yes"
    return response


@app.get("/")
def index():
    log.debug("index")
    return logging.getLogger("shop").isEnabledFor(logging.DEBUG)
