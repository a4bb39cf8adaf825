"""What a merchant may say in a dispute, and the words that decide one in test mode."""

from __future__ import annotations

from . import params

FIELDS = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal"
    " customer_communication customer_email_address customer_name customer_purchase_ip customer_signature"
    " duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt"
    " refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation"
    " shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number"
    " uncategorized_file uncategorized_text"
).split()
# Said in `uncategorized_text` (docs.stripe.com/testing, "Disputes"); without one of them a dispute stays under review.
WINS, LOSES, ESCALATES = "winning_evidence", "losing_evidence", "escalate_inquiry_evidence"
DECIDED_BY = (WINS, LOSES, ESCALATES)

_long = params.limited(20_000)
UPDATE: params.Spec = {
    "evidence": params.mapping(
        {**dict.fromkeys(FIELDS, _long), "appeal": params.anything, "enhanced_evidence": params.anything}
    ),
    "expand": params.texts,
    "intended_submission_method": params.text,
    "metadata": params.metadata,
    "submit": params.boolean,
}
