"""The pages that the stand-in shows to a payer's browser: checkout, authentication, receipts."""
