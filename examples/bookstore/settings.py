"""Settings, read from environment variables (you set them in the console) and checked."""

from functools import cache

from pydantic import Field
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals, say SHOP_NAME."""

    platform_mongo_uri: str = "mongodb://localhost:27017/examples"  # the platform sets this one
    shop_name: str = "Bookstore"
    currency: str = Field(default="EUR", pattern="^[A-Z]{3}$")
    low_stock: int = Field(default=3, ge=0)


@cache
def get_settings() -> Settings:
    """The settings, read once."""
    return Settings()
