//! Names that AWS has for everything.

use crate::model::is_account;

/// Where an ARN says that something is: in a partition of AWS's, a region and an account.
pub(super) fn is_place(partition: &str, region: &str, account: &str) -> bool {
    partition.starts_with("aws") && !region.is_empty() && is_account(account)
}

/// What is wrong with one that is no such place.
pub(super) const NO_PLACE: &str = "the partition, region or account in this ARN is not valid";
