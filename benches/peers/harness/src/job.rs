//! The jobs that are measured.

use crate::input::{KPIS, Texts};

/// The datasets that are there before a job starts that reads or opens.
const MANY: usize = 10_000;

/// The same with long texts, and before a job starts that creates.
const SOME: usize = 1_000;

/// A job: the same work for every peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Creates datasets one by one, each durable when the call returns, beside 1,000 others.
    CreateFull,
    /// The same, but a power cut may lose the newest ones.
    CreateNormal,
    /// As [`CreateFull`](Self::CreateFull), with long texts.
    CreateLong,
    /// Eight threads create datasets at the same time, each durable when the call returns. The time is that of a dataset.
    Together,
    /// Creates 10,000 datasets in one call, all or none.
    Bulk,
    /// The same of 1,000 datasets with long texts.
    BulkLong,
    /// Reads one of 10,000 datasets by its id, with its KPIs.
    Get,
    /// The same of 1,000 datasets with long texts.
    GetLong,
    /// Reads 10,000 datasets with their KPIs.
    List,
    /// Reads 50 datasets with their KPIs, after those of the page before.
    Page,
    /// The same without the KPIs, but with their numbers.
    Summaries,
    /// Counts 10,000 datasets.
    Count,
    /// Gives a KPI of one of 10,000 datasets another name, durably, and returns the dataset.
    Rename,
    /// Opens what has 10,000 datasets, reads one and closes.
    OpenGetClose,
    /// The growth of the peak memory while 10,000 datasets are loaded from an iterator, all or none.
    Memory,
    /// The space on the disk that 10,000 datasets take after closing.
    Bytes,
    /// The same of 1,000 datasets with long texts.
    BytesLong,
}

/// The unit of the figure that a child process reports for a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of all operations together.
    Nanoseconds,
    /// Bytes. One round of one operation is enough.
    Bytes,
}

/// All of the work, or a fiftieth in the short form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// All of it.
    All,
    /// A fiftieth.
    Little,
}

impl Amount {
    /// This number of datasets, or a fiftieth.
    #[must_use]
    pub fn of(self, count: usize) -> usize {
        match self {
            Amount::All => count,
            Amount::Little => count.div_ceil(50),
        }
    }
}

impl Job {
    /// All jobs, in the order of the table.
    pub const ALL: [Job; 17] = [
        Job::CreateFull,
        Job::CreateNormal,
        Job::CreateLong,
        Job::Together,
        Job::Bulk,
        Job::BulkLong,
        Job::Get,
        Job::GetLong,
        Job::List,
        Job::Page,
        Job::Summaries,
        Job::Count,
        Job::Rename,
        Job::OpenGetClose,
        Job::Memory,
        Job::Bytes,
        Job::BytesLong,
    ];

    /// Its name in the table, and for the child process.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Job::CreateFull => "create, Full",
            Job::CreateNormal => "create, Normal",
            Job::CreateLong => "create, Full, long texts",
            Job::Together => "create in 8 threads, Full",
            Job::Bulk => "bulk 10,000x10",
            Job::BulkLong => "bulk 1,000x10, long texts",
            Job::Get => "get",
            Job::GetLong => "get, long texts",
            Job::List => "list 10,000x10",
            Job::Page => "page of 50",
            Job::Summaries => "summaries, page of 50",
            Job::Count => "count of 10,000",
            Job::Rename => "rename a KPI, Full",
            Job::OpenGetClose => "open, get, close",
            Job::Memory => "memory of loading 10,000x10",
            Job::Bytes => "file of 10,000x10",
            Job::BytesLong => "file of 1,000x10, long texts",
        }
    }

    /// The job with this name.
    #[must_use]
    pub fn with_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.name() == name)
    }

    /// The unit of its rounds.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Job::Memory | Job::Bytes | Job::BytesLong => Unit::Bytes,
            _ => Unit::Nanoseconds,
        }
    }

    /// The divisor of the printed figure of the floor, and the noun of it: a KPI of a bulk, a dataset of a
    /// list.
    #[must_use]
    pub fn items(self, amount: Amount) -> (usize, &'static str) {
        let datasets = amount.of(self.datasets());
        match self {
            Job::Bulk | Job::BulkLong | Job::Bytes | Job::BytesLong => (datasets * KPIS, "KPI"),
            Job::List => (datasets, "dataset"),
            _ => (1, ""),
        }
    }

    /// At most this number of operations are done in a round: those that store much would fill the disk.
    #[must_use]
    pub const fn most_times(self) -> u64 {
        match self {
            Job::CreateLong => 200,
            Job::CreateFull | Job::CreateNormal | Job::Together => 2_000,
            _ => 1 << 20,
        }
    }

    pub(crate) const fn texts(self) -> Texts {
        match self {
            Job::CreateLong | Job::BulkLong | Job::GetLong | Job::BytesLong => Texts::Long,
            _ => Texts::Short,
        }
    }

    /// The number of datasets that it is about, or that are there before.
    pub(crate) const fn datasets(self) -> usize {
        match self {
            Job::CreateFull
            | Job::CreateNormal
            | Job::CreateLong
            | Job::Together
            | Job::BulkLong
            | Job::GetLong
            | Job::BytesLong => SOME,
            _ => MANY,
        }
    }
}
