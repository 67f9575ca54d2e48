//! The parts that all peers of the benchmark share: the [`Peer`] trait, the [jobs](Job), the [input](input::datasets), and
//! the checks that every peer must pass while it is measured.
//!
//! A program that contains peers calls [`child::main`]. The driver starts it as a child process for each job, so that
//! every peer has a process of its own, with one SQLite at most.

pub mod child;
pub mod dataset;
pub mod input;

mod check;
#[cfg(test)]
mod controls;
mod filled;
mod job;
mod peer;
mod work;

pub use dataset::{Dataset, Kpi, Summary};
pub use filled::bytes_of;
pub use job::{Amount, Job, Unit};
pub use kpi_store::{Durability, NewDataset, NewKpi, ValueType, Violations};
pub use peer::{ORGANIZATION, Peer, validate_name};
pub use work::most_resident;
