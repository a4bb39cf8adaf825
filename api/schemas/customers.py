"""Customers: what may be said about a person, and what is shown."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import Parameters, QueryNumber, Shown, id_pattern
from api.schemas.parameters import Moment, Short
from api.schemas.payments import EMAIL, Customer, Metadata


class CreateCustomerBody(Customer):
    """A person. E-mail, name and phone are kept sealed under a key of the person's own; the rest is not."""

    reference: Short | None = Field(None, description="Yours; need not be unique.", examples=["user-42"])
    metadata: Metadata = Field(default_factory=dict)


class UpdateCustomerBody(Customer):
    """What is left out stays as it is, null clears it, `metadata` is replaced as a whole."""

    reference: Short | None = None
    metadata: Metadata | None = None


class CustomerShown(Shown):
    """A person, as they are now. E-mail, name and phone are masked (`a***@example.com`) where nothing else is said."""

    id: str = Field(pattern=id_pattern("customer"))
    mode: Literal["test", "live"]
    email: str | None
    name: str | None
    phone: str | None
    reference: str | None
    metadata: dict[str, str]
    created_at: str
    updated_at: str


class Customers(Shown):
    """A page, newest first; `next` goes into `after`."""

    data: list[CustomerShown]
    has_more: bool
    next: str | None


class CustomerNamed(Shown):
    id: str = Field(pattern=id_pattern("customer"))


class DeletedCustomer(Shown):
    id: str
    deleted: Literal[True]


class CustomerPath(Parameters):
    id: str = Field(description="The merchant's public id.")
    customer: str = Field(description="The customer's.")


class CustomersQuery(Parameters):
    limit: QueryNumber = Field(20, ge=1, le=100, description="How many at most.")
    after: str | None = Field(None, pattern=id_pattern("customer"), description="The last id of the page before.")
    email: str | None = Field(None, max_length=254, pattern=EMAIL, description="The whole address, in any case.")
    reference: Short | None = None
    created_after: Moment | None = Field(None, description="RFC 3339, exclusive.")
    created_before: Moment | None = Field(None, description="RFC 3339, exclusive.")
