//! What a disk does to a store that it should not: failures and power cuts, through the public API and the real SQLite.
//!
//! - [`disk`]: the disk itself fails where it is told to, remembers what was done, and leaves other folders alone.

mod disk;
