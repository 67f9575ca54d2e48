//! Generated requests, and what the contract says of them: the limits are stated here a second time.

use kpi_store::{DatasetId, KpiId, NewDataset, NewKpi, ValueType};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use uuid::Uuid;

/// Fewest and most code points of the texts of a dataset and of a KPI alike.
const NAME: (usize, usize) = (1, 255);
const DESCRIPTION: (usize, usize) = (0, 2_000);
const UNIT: (usize, usize) = (0, 50);
const MOST_KPIS_AS_JSON: usize = 100;
const VALUE_TYPES: [&str; 5] = ["number", "text", "percentage", "date", "boolean"];

/// A request, before it takes the form of a value in code or of a text in JSON.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: Option<[u8; 16]>,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) kpis: Vec<KpiDraft>,
    form: Form,
}

/// Fields that are not given are their defaults.
#[derive(Clone, Debug)]
pub(super) struct KpiDraft {
    pub(super) id: Option<[u8; 16]>,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) value_type: Option<usize>,
    pub(super) required: Option<bool>,
    pub(super) sort_order: Option<i64>,
}

/// How the JSON of a draft is written, where JSON leaves a choice.
#[derive(Clone, Copy, Debug)]
struct Form {
    /// What is absent is written as null, where the contract allows that; a list of no KPIs too.
    nulls: bool,
    pretty: bool,
    /// Everything beyond ASCII is written as `\u` and four digits.
    escaped: bool,
}

/// Drafts of all kinds: about as many within the limits as outside.
pub(super) fn drafts() -> impl Strategy<Value = Draft> {
    let form = any::<[bool; 3]>().prop_map(|[nulls, pretty, escaped]| Form { nulls, pretty, escaped });
    let kpis = prop_oneof![20 => vec(kpis(), 0..6), 1 => (100_usize..=101).prop_flat_map(|count| vec(kpis(), count))];
    (id(), text(NAME), option::of(text(DESCRIPTION)), kpis, form)
        .prop_map(|(id, name, description, kpis, form)| Draft { id, name, description, kpis, form })
}

fn kpis() -> impl Strategy<Value = KpiDraft> {
    let sort_order =
        prop_oneof![20 => 0..3_i64, 5 => 0..i64::MAX, 1 => any::<i64>(), 1 => select(vec![i64::MIN, -1, i64::MAX])];
    let choices = (option::of(0..5_usize), option::of(any::<bool>()), option::of(sort_order));
    (id(), text(NAME), option::of(text(DESCRIPTION)), option::of(text(UNIT)), choices).prop_map(
        |(id, name, description, unit, (value_type, required, sort_order))| KpiDraft {
            id,
            name,
            description,
            unit,
            value_type,
            required,
            sort_order,
        },
    )
}

fn id() -> impl Strategy<Value = Option<[u8; 16]>> {
    option::of(any::<[u8; 16]>())
}

/// Mostly a short text; sometimes one at a limit or beyond, sometimes one with U+0000 in it.
fn text((least, most): (usize, usize)) -> impl Strategy<Value = String> {
    let length = prop_oneof![60 => 1..20_usize, 2 => least..=least, 4 => most - 1..=most, 1 => most + 1..=most + 9, 1 => 0..=0_usize];
    let odd = select("é漢🌊\u{301}\u{200d}👩\u{feff}\u{2028}\u{1}\u{7f}\u{10ffff}\"\\/\n ".chars().collect::<Vec<_>>());
    let char = prop_oneof![6 => proptest::char::range(' ', '~'), 2 => odd, 2 => any::<char>()];
    let nul = prop_oneof![60 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    (length.prop_flat_map(move |length| vec(char.clone(), length)), nul).prop_map(|(mut chars, nul)| {
        if let Some(place) = nul.filter(|_| !chars.is_empty()) {
            let place = place.index(chars.len());
            chars[place] = '\0';
        }
        chars.into_iter().collect()
    })
}

impl Draft {
    /// The violations of its JSON, which may have fewer KPIs than a request built in code.
    pub(super) fn wrongs_as_json(&self) -> Vec<(String, &'static str)> {
        if self.kpis.len() <= MOST_KPIS_AS_JSON {
            return self.wrongs();
        }
        let mut wrongs = self.wrongs();
        wrongs.retain(|(path, _)| !path.starts_with("kpis"));
        wrongs.push(("kpis".into(), "too_long"));
        wrongs
    }

    /// Its violations: paths and codes, in order.
    pub(super) fn wrongs(&self) -> Vec<(String, &'static str)> {
        let mut wrongs = Vec::new();
        let mut check = |path: String, wrong: Option<&'static str>| wrongs.extend(wrong.map(|code| (path, code)));
        check("name".into(), wrong_text(&self.name, NAME));
        check("description".into(), self.description.as_deref().and_then(|text| wrong_text(text, DESCRIPTION)));
        for (index, kpi) in self.kpis.iter().enumerate() {
            let path = |field: &str| format!("kpis[{index}].{field}");
            check(path("name"), wrong_text(&kpi.name, NAME));
            check(path("description"), kpi.description.as_deref().and_then(|text| wrong_text(text, DESCRIPTION)));
            check(path("unit"), kpi.unit.as_deref().and_then(|text| wrong_text(text, UNIT)));
            check(path("sort_order"), kpi.sort_order.filter(|order| *order < 0).map(|_| "greater_than_equal"));
        }
        wrongs
    }

    /// Which KPI stands where in display order: the places of addition.
    pub(super) fn display_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.kpis.len()).collect();
        order.sort_by_key(|index| (self.kpis[*index].sort_order.unwrap_or(0), *index));
        order
    }

    /// The request in code.
    pub(super) fn request(&self) -> NewDataset {
        let mut new = NewDataset::new(&*self.name).kpis(self.kpis.iter().map(KpiDraft::request));
        new.description.clone_from(&self.description);
        new.id = self.id.map(|id| DatasetId::from(Uuid::from_bytes(id)));
        new
    }

    /// The request in JSON, which has no ids.
    pub(super) fn json(&self) -> String {
        let mut body = json!({"name": self.name, "kpis": self.kpis.iter().map(|kpi| kpi.json(self.form.nulls)).collect::<Vec<_>>()});
        give(&mut body, "description", self.description.as_ref().map(|text| json!(text)), self.form.nulls);
        if self.kpis.is_empty() && self.form.nulls {
            body["kpis"] = Value::Null;
        } else if self.kpis.is_empty() && self.form.pretty {
            body.as_object_mut().unwrap().remove("kpis");
        }
        let text = if self.form.pretty { format!("{body:#}") } else { body.to_string() };
        if self.form.escaped { escaped(&text) } else { text }
    }
}

impl KpiDraft {
    fn request(&self) -> NewKpi {
        let mut new = NewKpi::new(&*self.name);
        new.description.clone_from(&self.description);
        new.unit.clone_from(&self.unit);
        new.id = self.id.map(|id| KpiId::from(Uuid::from_bytes(id)));
        new = self.value_type.map_or(new.clone(), |place| new.value_type(ValueType::ALL[place]));
        new = self.required.map_or(new.clone(), |required| new.required(required));
        self.sort_order.map_or(new.clone(), |sort_order| new.sort_order(sort_order))
    }

    fn json(&self, nulls: bool) -> Value {
        let mut kpi = json!({"name": self.name});
        give(&mut kpi, "description", self.description.as_ref().map(|text| json!(text)), nulls);
        give(&mut kpi, "unit", self.unit.as_ref().map(|text| json!(text)), nulls);
        give(&mut kpi, "value_type", self.value_type.map(|place| json!(VALUE_TYPES[place])), false);
        give(&mut kpi, "required", self.required.map(|required| json!(required)), false);
        give(&mut kpi, "sort_order", self.sort_order.map(|sort_order| json!(sort_order)), false);
        kpi
    }
}

fn wrong_text(text: &str, (least, most): (usize, usize)) -> Option<&'static str> {
    match text.chars().count() {
        count if count < least => Some("string_too_short"),
        count if count > most => Some("string_too_long"),
        _ if text.contains('\0') => Some("string_nul"),
        _ => None,
    }
}

fn give(object: &mut Value, key: &str, value: Option<Value>, null: bool) {
    if let Some(value) = value.or(null.then_some(Value::Null)) {
        object[key] = value;
    }
}

fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for unit in json.encode_utf16() {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(ascii) => text.push(ascii.into()),
            None => text.extend(["\\u", &format!("{unit:04x}")]),
        }
    }
    text
}
