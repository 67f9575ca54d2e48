//! Times: UTC, whole microseconds, the years 0001 to 9999.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::limits::{TIME_MAX_MICROS, TIME_MIN_MICROS};

/// Reads the system clock. `chrono::Utc::now` would panic on a time before 1970.
pub(crate) fn system_clock() -> DateTime<Utc> {
    of_system(SystemTime::now())
}

fn of_system(time: SystemTime) -> DateTime<Utc> {
    let since_epoch = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let micros = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => since_epoch(after),
        Err(before) => -since_epoch(before.duration()),
    };
    // A time outside chrono's range is far outside the allowed years, so `Store::now` rejects it.
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A time truncated to the microsecond, as it is stored; `None` outside the years 0001 to 9999.
pub(crate) fn to_micros(time: DateTime<Utc>) -> Option<i64> {
    let micros = time.timestamp_micros();
    (TIME_MIN_MICROS..=TIME_MAX_MICROS).contains(&micros).then_some(micros)
}

/// The time that [`to_micros`] stored; `None` outside the years 0001 to 9999.
pub(crate) fn from_micros(micros: i64) -> Option<DateTime<Utc>> {
    (TIME_MIN_MICROS..=TIME_MAX_MICROS).contains(&micros).then(|| DateTime::from_timestamp_micros(micros)).flatten()
}

/// The contract's format: `2023-11-07T05:31:56Z`, with exactly six fractional digits if the fraction is not zero.
///
/// chrono formats it faster than a formatter written here: a response with ten KPIs takes 60,791 instructions, and
/// 63,739 with digits written by hand (`benches/instructions.sh`, "response JSON out").
fn to_text(time: DateTime<Utc>) -> String {
    let fraction = if time.timestamp_subsec_micros() == 0 { SecondsFormat::Secs } else { SecondsFormat::Micros };
    time.to_rfc3339_opts(fraction, true)
}

/// A time as RFC 3339 writes it, with any UTC offset, truncated to the microsecond.
pub(crate) fn from_text(text: &str) -> Result<DateTime<Utc>, &'static str> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| "expected a time such as 2023-11-07T05:31:56Z")?.to_utc();
    to_micros(time).and_then(from_micros).ok_or("time outside the years 0001 to 9999")
}

/// For `#[serde(with)]`: a time in the contract's format. Deserializing accepts any UTC offset.
pub(crate) mod utc {
    use super::{
        DateTime, Deserialize, Deserializer, Serializer, Utc, de, from_micros, from_text, ser, to_micros, to_text,
    };

    pub(crate) fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        let time = to_micros(*time)
            .and_then(from_micros)
            .ok_or_else(|| ser::Error::custom("time outside the years 0001 to 9999"))?;
        serializer.serialize_str(&to_text(time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        from_text(&text).map_err(de::Error::custom)
    }
}

/// A time that serializes in the contract's format.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Time(#[serde(with = "utc")] pub(crate) DateTime<Utc>);

/// For `#[serde(with)]`: a time in the format of [`utc`], or null.
pub(crate) mod utc_or_null {
    use super::{DateTime, Deserialize, Deserializer, Serialize, Serializer, Time, Utc};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(Time).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Ok(Option::<Time>::deserialize(deserializer)?.map(|Time(time)| time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_clock_before_1970_gives_times_before_1970() {
        let second = Duration::from_secs(1);
        assert_eq!(to_micros(of_system(SystemTime::UNIX_EPOCH - second)), Some(-1_000_000));
        assert_eq!(to_micros(of_system(SystemTime::UNIX_EPOCH + second)), Some(1_000_000));
        // 700,000 years, which is outside chrono's range.
        let far = Duration::from_hours(24 * 365 * 700_000);
        assert_eq!(to_micros(of_system(SystemTime::UNIX_EPOCH + far)), None);
    }
}
