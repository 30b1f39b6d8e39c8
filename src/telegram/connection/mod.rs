//! Connections that cannot hang: every call has a time limit.
//!
//! From the bottom up: [`dialer`] connects, through a [`proxy`] or an [`mtproxy`] where one is
//! configured;
//! [`rpc_error`] and [`error`] say why a call failed, [`pool`] makes the calls,
//! [`link`] is the account's main connection, and [`file_calls`] gets files over the connections in
//! [`file_route`].

pub(super) mod clock;
pub(super) mod dialer;
pub(super) mod error;
mod file_calls;
pub(super) mod file_route;
pub(super) mod link;
pub(super) mod logout;
mod mtproxy;
pub(super) mod pool;
mod proxy;
pub(super) mod rpc_error;
