//! Tests of what only the crate itself can reach: its connections, its queue of writers, the statements it runs.

mod durability;
mod readers;
mod statements;
mod support;
mod writer;
