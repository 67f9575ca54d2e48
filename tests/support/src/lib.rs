//! What the tests of `kpi-store` share and what needs none of its types.
//!
//! It does not depend on `kpi-store`: the fault harness is compiled inside that crate, where the types of a second copy
//! of it would be others. What does need them is in `mod.rs` beside this package, a module of each integration binary.
//!
//! - [`Random`], [`seed`] and [`is_long`]: numbers that follow from a seed, and the two variables that steer the
//!   harnesses.
//! - [`TestFile`] and [`entries`]: a path in a folder of its own, and what is in a folder.
//! - [`plain_sqlite`] and what follows from it: a file as SQLite alone sees it.
//! - [`child`] and [`unprivileged`]: the test binary run again as another process, or as another user.
//! - [`ledger`]: whether what is found agrees with what was answered.
//! - [`skipped`]: a test that cannot run here says so.

pub mod child;
mod entries;
mod file;
pub mod ledger;
mod plain;
mod random;
mod settings;
pub mod unprivileged;

pub use entries::{Entry, entries};
pub use file::{TestFile, folder_in_memory, with_suffix};
pub use plain::{counts_if_sound, is_unlocked, plain_sqlite, rows_seen_by_plain_sqlite};
pub use random::Random;
pub use settings::{given_scenario, given_seed, is_long, may_mount, seed, skipped};
