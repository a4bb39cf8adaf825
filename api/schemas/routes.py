"""A merchant's route: its definition as administrators write it, its versions, and what it would do with a payment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from api.schemas.base import Amount, Body, Parameters, QueryNumber, Shown, id_pattern
from api.schemas.parameters import Country, Currency, KnownProvider
from api.schemas.payments import Metadata
from core.domain.countries import COUNTRIES
from core.domain.money import CURRENCIES, MAX_AMOUNT
from core.domain.route_reading import LONGEST_VALUE, MOST_ACCOUNTS, MOST_FIELDS, MOST_RULES, MOST_VALUES
from core.domain.routes import WHOLE
from core.orchestration.review import LONGEST_REASON
from core.orchestration.routes import LONGEST_NOTE

_ACCOUNT = Field(pattern=id_pattern("provider_account"))
_REASON = Field(min_length=1, max_length=LONGEST_REASON, description="Kept in the audit log.")
Account = Annotated[str, _ACCOUNT]
_Text = Annotated[str, Field(max_length=LONGEST_VALUE)]
_Values = Annotated[list[_Text], Field(min_length=1, max_length=MOST_VALUES)]
_FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,40}$")]
_Fields = Annotated[
    dict[_FieldName, _Values],
    Field(min_length=1, max_length=MOST_FIELDS, json_schema_extra={"additionalProperties": False}),
]


def _among(known: frozenset[str]) -> dict[str, Any]:
    return {"items": {"type": "string", "enum": sorted(known)}}


Limit = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]


class RangeBody(Body):
    """Both ends included, in minor units; the rule has to name currencies, all with the same unit."""

    min: Limit | None = None
    max: Limit | None = None


class WhenBody(Body):
    """All that are given have to hold; of each list one value is enough. Nothing given: every payment."""

    currency: list[str] | None = Field(
        None, min_length=1, description="In capitals.", json_schema_extra=_among(CURRENCIES)
    )
    country: list[str] | None = Field(
        None,
        min_length=1,
        description="Where the customer pays from, as the payment's `country` says.",
        json_schema_extra=_among(COUNTRIES),
    )
    amount: RangeBody | None = None
    method: list[Literal["token", "redirect"]] | None = Field(None, min_length=1, max_length=2)
    customer: list[Annotated[str, Field(pattern=id_pattern("customer"))]] | None = Field(
        None, min_length=1, max_length=MOST_VALUES
    )
    metadata: _Fields | None = Field(None, description="Fields of the payment's metadata.")
    customer_metadata: _Fields | None = Field(None, description="Fields of its customer's metadata.")


class ThenBody(Body):
    """Either accounts, first to last, or the weights by which payments are shared among them."""

    accounts: list[Account] | None = Field(None, min_length=1, max_length=MOST_ACCOUNTS)
    weights: dict[Account, Annotated[int, Field(ge=1, le=WHOLE)]] | None = Field(
        None, min_length=1, max_length=MOST_ACCOUNTS, description=f"They add up to {WHOLE}."
    )


class DefaultBody(Body):
    """For payments that no rule applies to."""

    then: ThenBody
    on_soft_decline: Literal["stop", "next"] = Field(
        "stop",
        description="`next`: a redirect payment that is declined softly before its customer was sent anywhere goes on.",
    )


class RuleBody(DefaultBody):
    """The first rule that applies decides."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,39}$", description="As decisions and reports name it.")
    when: WhenBody = Field(default_factory=WhenBody)


class DefinitionBody(Body):
    """Without a default, what no rule applies to is tried by the accounts' own priority."""

    rules: list[RuleBody] = Field(default_factory=list, max_length=MOST_RULES)
    default: DefaultBody | None = None

    def plain(self) -> dict[str, Any]:
        """As core reads it and as it is kept: what was not given is not there."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


class DraftBody(Body):
    definition: DefinitionBody
    note: str | None = Field(None, min_length=1, max_length=LONGEST_NOTE)
    reason: str = _REASON


class ChangeRouteBody(Body):
    """What is left out stays."""

    definition: DefinitionBody | None = None
    note: str | None = Field(None, min_length=1, max_length=LONGEST_NOTE)
    reason: str = _REASON


class ValidateBody(Body):
    definition: DefinitionBody


class ActivateBody(Body):
    reason: str = _REASON
    replaces: int | None = Field(None, ge=0, description="The version that has to be active now; 0 for none.")


class RollBackBody(ActivateBody):
    to: int | None = Field(None, ge=1, description="Which version; the one that was active before if left out.")


class SampleBody(Body):
    """A payment that might be asked for."""

    amount: Amount
    currency: Currency
    method: Literal["token", "redirect", "saved"] = "redirect"
    capture: Literal["automatic", "manual"] = "automatic"
    country: Country | None = None
    customer: str | None = Field(None, pattern=id_pattern("customer"))
    saved: str | None = Field(None, pattern=id_pattern("payment_method"), description="With the method saved.")
    metadata: Metadata = Field(default_factory=dict)
    provider: KnownProvider | None = None
    save_payment_method: bool = False
    off_session: bool = False
    has_email: bool = Field(True, description="Of a customer who is not named by id.")
    has_return_url: bool = True


class ExplainBody(Body):
    """A sample, or a payment that is there; by a definition, else a version, else what is active."""

    sample: SampleBody | None = None
    payment: str | None = Field(None, pattern=id_pattern("payment"))
    version: int | None = Field(None, ge=1)
    definition: DefinitionBody | None = None


class RoutePath(Parameters):
    id: str
    version: QueryNumber = Field(ge=1, le=1_000_000_000)


class Remark(Shown):
    field: str
    message: str


class Verdict(Shown):
    """Whether a definition could be activated now. Warnings hinder nothing."""

    valid: bool
    errors: list[Remark]
    warnings: list[Remark]


class RouteVersion(Shown):
    """A version of a merchant's route. One that is or was active is never changed."""

    id: str = Field(pattern=id_pattern("route"))
    mode: Literal["test", "live"]
    version: int
    status: Literal["draft", "active", "retired"]
    note: str | None
    created_by: str
    activated_by: str | None
    created_at: str
    updated_at: str
    activated_at: str | None


class RouteInFull(RouteVersion):
    """With its definition, and what speaks against it now."""

    definition: dict[str, Any]
    valid: bool
    errors: list[Remark]
    warnings: list[Remark]


class RouteVersions(Shown):
    """The newest first."""

    data: list[RouteVersion]


class RolledBack(Shown):
    """`active` null: accounts are tried by their own priority again."""

    retired: int
    active: RouteInFull | None


class RuleTried(Shown):
    """`applies` null where a rule before it has decided."""

    rule: str
    applies: bool | None
    against: list[str]


class AccountWeighed(Shown):
    """`share`: which part of such payments it is tried first for."""

    account: str
    provider: str
    name: str
    eligible: bool
    reasons: list[str]
    health: dict[str, Any]
    weight: int | None
    share: float


class Refusal(Shown):
    code: str
    message: str
    errors: list[Remark]


class Explanation(Shown):
    """Accounts in the order in which they would be tried, those that are left out behind them."""

    version: int | None
    rule: str | None
    rules: list[RuleTried]
    accounts: list[AccountWeighed]
    on_soft_decline: Literal["stop", "next"]
    refused: Refusal | None
    words: list[str]
