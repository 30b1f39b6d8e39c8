//! Gateways and workers: what they share in Redis, and the whole line over several processes.

mod gateway;
mod line;
mod lists;
mod store;
mod turns;
mod ways;
