//! kpi-store beside what one would use instead.

mod peers;

use kpi_store_peers_harness::child::Task;
use peers::kpi_store::KpiStore;
use peers::plain_rusqlite::PlainRusqlite;

fn main() {
    if let Some(task) = Task::from_arguments() {
        run(task);
    }
}

/// Does the task of a child process.
fn run(task: Task) {
    match task.peer.as_str() {
        "kpi-store" => task.run::<KpiStore>(),
        "rusqlite" => task.run::<PlainRusqlite>(),
        unknown => panic!("no peer is named {unknown}"),
    }
}
