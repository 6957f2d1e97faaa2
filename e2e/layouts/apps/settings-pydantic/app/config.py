from functools import lru_cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SHOP_", env_file=".env", extra="ignore")
    currency: str = "EUR"
    rate: float = Field(1.5, gt=0)


@lru_cache
def get_settings() -> Settings:
    return Settings()
