//! Compares a report with what its plan stands for.

use serde_json::Value;

use super::expect::Expected;

/// Two figures this near are the same: reports print shares with six decimals and means with three.
const EPSILON: f64 = 5.01e-7;
const EPSILON_OF_MEANS: f64 = 5.01e-4;

/// Every way in which the headline of a report differs from the plan; one line each.
pub fn differences(expected: &Expected, report: &Value) -> Vec<String> {
    let at = |name: &str| report.pointer(&format!("/headline/{name}")).unwrap_or(&Value::Null);
    let mut list = Vec::new();
    let mut same = |name: &str, found: &Value, (wanted, epsilon): (f64, f64)| {
        if found.as_f64().is_none_or(|value| (value - wanted).abs() > epsilon) {
            list.push(format!("{name}: {found}, should be {wanted}"));
        }
    };
    same("overseas_attempts", at("overseas_attempts"), (expected.overseas as f64, EPSILON));
    let mean = expected.overseas_monthly_mean;
    same("overseas_monthly_mean", at("overseas_monthly_mean"), (mean, EPSILON_OF_MEANS));
    same("top_country.share", at("top_country/share"), (expected.top.1, EPSILON));
    let code = at("top_country/code");
    if *code != expected.top.0.as_str() {
        list.push(format!("top_country.code: {code}, should be {:?}", expected.top.0));
    }
    let text = at("text").as_str().unwrap_or_default();
    let share = format!("{:.1}", expected.top.1 * 100.0);
    for part in [thousands(&format!("{:.0}", expected.overseas_monthly_mean)), share] {
        if !text.contains(&part) {
            list.push(format!("text: {text:?} does not say {part}"));
        }
    }
    list
}

/// 144000 as 144,000.
pub fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
