//! Shows violations as a form would, each message beside its field, and as the body that the server would answer.
//!
//! ```text
//! cargo run --example show_field_errors
//! ```

use std::error::Error;

use kpi_store::{NewDataset, Segment, Violation};

const REQUEST: &str = r#"{
    "name": "",
    "describtion": "All sites",
    "kpis": [
        {"name": "Total water withdrawal", "unit": "m³", "sort_order": 1},
        {"name": "Recycled water", "value_type": "percent", "required": "yes", "sort_order": -1}
    ]
}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let Err(violations) = NewDataset::from_json(REQUEST) else { return Err("the request should be refused".into()) };

    println!("Dataset");
    for violation in violations.iter().filter(|violation| kpi_index(violation).is_none()) {
        println!("  {:16} ✗ {}", violation.path(), violation.message());
    }
    for index in 0..2 {
        println!("KPI {}", index + 1);
        let of_this_kpi = |violation: &&Violation| kpi_index(violation) == Some(index);
        for violation in violations.iter().filter(of_this_kpi) {
            let field = violation.loc().last().map(field_name).unwrap_or_default();
            println!("  {field:16} ✗ {}", violation.message());
        }
    }

    println!("\nAs the server answers it:\n{}", serde_json::to_string_pretty(&violations)?);
    Ok(())
}

/// The index of the KPI that a violation concerns: its `loc` is `["body", "kpis", 3, ...]`.
fn kpi_index(violation: &Violation) -> Option<usize> {
    match violation.loc() {
        [_, Segment::Key(list), Segment::Index(index), ..] if list == "kpis" => Some(*index),
        _ => None,
    }
}

fn field_name(segment: &Segment) -> String {
    match segment {
        Segment::Key(key) => key.to_string(),
        Segment::Index(index) => index.to_string(),
    }
}
