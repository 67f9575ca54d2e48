//! The writer: group commit, failed commits and the recovery from them, how its connections are set up.

mod connections;
mod failed_commits;
mod failed_compactions;
mod failing_groups;
mod full_disk;
mod groups;
