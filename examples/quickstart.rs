//! Stores dataset requests in a SQLite file, shows what was stored, opens the file again and reads it back.
//!
//! ```text
//! cargo run --example quickstart                            the requests in examples/data, in a temporary file
//! cargo run --example quickstart -- request.json            a request of yours
//! cargo run --example quickstart -- request.json kpis.db    the same, in a file that is kept
//! ```

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kpi_store::{Dataset, DatasetQuery, NewDataset, OrganizationId, Store, UserId};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let requests = match arguments.next() {
        Some(request) => vec![request],
        None => requests_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data"))?,
    };
    let kept = arguments.next();
    let folder = tempfile::tempdir()?;
    let file = kept.unwrap_or_else(|| folder.path().join("kpis.db"));

    // The application knows the id of its organization. Here it is new, so that each run sees only its own datasets.
    let organization_id = OrganizationId::new();
    let Some(created) = create(&requests, &file, organization_id)? else { return Ok(ExitCode::FAILURE) };
    for dataset in &created {
        show(dataset);
    }

    let store = Store::open(&file)?;
    let organization = store.organization(organization_id);
    let read_back = organization.iter_datasets(&DatasetQuery::new()).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(read_back, created);
    let kpis: usize = read_back.iter().map(|dataset| dataset.kpis.len()).sum();
    println!("Read back from {}:", file.display());
    println!("{} datasets with {kpis} KPIs, equal to what was created.", read_back.len());
    store.close()?;
    Ok(ExitCode::SUCCESS)
}

/// Creates a dataset for each request file. If one of them is refused, prints why and creates none.
fn create(
    requests: &[PathBuf],
    file: &Path,
    organization_id: OrganizationId,
) -> Result<Option<Vec<Dataset>>, Box<dyn Error>> {
    let mut accepted = Vec::new();
    for path in requests {
        let body = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        match NewDataset::from_json(body) {
            Ok(request) => accepted.push(request),
            Err(violations) => {
                println!("{} cannot be stored:", path.display());
                for violation in &violations {
                    println!("  {:24} {} ({})", violation.path(), violation.message(), violation.code());
                }
                return Ok(None);
            }
        }
    }
    let store = Store::open(file)?;
    let organization = store.organization(organization_id).acting_as(UserId::new());
    Ok(Some(organization.create_datasets(accepted)?))
}

fn requests_in(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn show(dataset: &Dataset) {
    println!("{}", dataset.name);
    println!("  {}, created {}", dataset.id, dataset.created_at);
    for kpi in &dataset.kpis {
        let unit = kpi.unit.as_deref().unwrap_or("-");
        let required = if kpi.required { "required" } else { "optional" };
        println!("  {:>3}  {:52} {:12} {:10} {required}", kpi.sort_order, kpi.name, unit, kpi.value_type);
    }
    println!();
}
