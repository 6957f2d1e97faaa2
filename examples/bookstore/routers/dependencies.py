"""What routes ask for: `books: Books` in a route's parameters is all it takes to get one."""

from typing import Annotated

from fastapi import Depends, Path

from models.common import IdIn
from services.authors import AuthorService
from services.books import BookService
from services.orders import OrderService
from services.reviews import ReviewService
from services.stats import StatsService

Authors = Annotated[AuthorService, Depends()]
Books = Annotated[BookService, Depends()]
Reviews = Annotated[ReviewService, Depends()]
Orders = Annotated[OrderService, Depends()]
Stats = Annotated[StatsService, Depends()]

PathId = Annotated[IdIn, Path()]
