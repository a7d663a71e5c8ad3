//! The policy of a function whose `ROUTING_POLICY` is not set: `functions/supervisor-router/routing.toml`,
//! with the schemas beside it.

use router_aws::settings::routing::CompiledIn;

/// The policy.
pub const SHIPPED: CompiledIn =
    CompiledIn { toml: include_str!("../../supervisor-router/routing.toml"), schemas: SCHEMAS };

// The schemas in `schemas/`, by the names that a policy has for them.
include!(concat!(env!("OUT_DIR"), "/schemas.rs"));
