//! The names and addresses of the lab. They are the genuine ones, and the same in every lab: each lab has a
//! network of its own, so they never meet.

use std::net::Ipv4Addr;

/// The AWS account that the lab plays; moto's own default.
pub const ACCOUNT: &str = "123456789012";
/// The AWS region.
pub const REGION: &str = "eu-west-1";
/// The host name of ECR's registry.
pub const ECR_HOST: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
/// Another AWS region.
pub const OTHER_REGION: &str = "us-east-1";
/// The registry's host name in the other region: the same registry.
pub const OTHER_REGION_ECR_HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
/// The same registry once more, by a name that says nothing of ECR.
pub const OTHER_REGISTRY_HOST: &str = "registry.internal";
/// The ECR repository that every lab has.
pub const REPOSITORY: &str = "status-page";
/// The repository as an image reference names it: host and name.
pub const REPOSITORY_URL: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/status-page";
/// The registry's user.
pub const REGISTRY_USER: &str = "AWS";
/// The registry's password: what moto's `GetAuthorizationToken` hands out.
pub const REGISTRY_PASSWORD: &str = "123456789012-auth-token";
/// The Secrets Manager secret with the database's whole connection, in the form of RDS.
pub const DATABASE_SECRET: &str = "prod/status-page/database";
/// The secret as RDS manages it: user and password only.
pub const RDS_MANAGED_SECRET: &str = "rds!db-0123";
/// The secret with the password of Redis, as plain text.
pub const REDIS_SECRET: &str = "prod/status-page/redis";
/// PostgreSQL's host name.
pub const DATABASE_HOST: &str = "db.internal";
/// PostgreSQL's user.
pub const DATABASE_USER: &str = "sp";
/// PostgreSQL's password: no word that could stand anywhere else.
pub const DATABASE_PASSWORD: &str = "Pa55&word/of%db";
/// PostgreSQL's database.
pub const DATABASE_NAME: &str = "statuspage";
/// The host name of Redis; its port is 6379, with TLS.
pub const CACHE_HOST: &str = "cache.internal";
/// The password of Redis: full of what a URL must escape.
pub const CACHE_PASSWORD: &str = "Tok#en^1";
/// The same as a URL writes it.
pub const CACHE_PASSWORD_IN_URLS: &str = "Tok%23en%5E1";

/// The VPC's router and resolver.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
/// ECR's registry.
pub const REGISTRY: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);
/// The AWS APIs.
pub const AWS: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 3);
/// PostgreSQL and Redis.
pub const DATA: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 4);
/// Where an instance asks for its metadata.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The last part of the first instance's address.
pub(crate) const FIRST_INSTANCE: u8 = 11;

/// The address of the instance with this number.
pub(crate) fn instance_address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, 0, number)
}

/// The MAC of the card with this address: locally administered, and the same at each boot, as an ENI's. Others keep it
/// in their tables for a while.
pub(crate) fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}
