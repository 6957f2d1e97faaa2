from dataclasses import dataclass

PREFIX = "/api/v1"


@dataclass(frozen=True)
class Settings:
    name: str = "absolute"


settings = Settings()
