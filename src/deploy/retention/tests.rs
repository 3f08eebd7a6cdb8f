//! What goes, decided from records and containers alone.

use serde_json::{Value, json};

use super::*;
use crate::model::ImageName;

fn image(digit: u64) -> ImageRef {
    let digest = format!("sha256:{}", format!("{digit:x}").repeat(64)).parse().unwrap();
    ImageRef { repository: "registry/status-page".to_owned(), digest }
}

/// A release's record; its image has the number's digit.
fn record(release: u64, verdict: Verdict) -> Record {
    let of_run = serde_json::json!({
        "format": 1, "release": release, "deployment": "d-1", "verdict": "unproven", "at": "1970-01-01T00:00:00Z",
    });
    let of_run: Record = serde_json::from_value(of_run).unwrap();
    Record { images: [(ImageName::default_image(), image(release))].into(), verdict, ..of_run }
}

fn good(release: u64) -> Record {
    record(release, Verdict::Good)
}

fn refused(release: u64) -> Record {
    record(release, Verdict::Refused { cause: "it was not healthy".to_owned() })
}

/// A container of a release, as the Engine tells of it.
fn container(release: u64, running: bool) -> Container {
    let labels = json!({
        "handover.app": "status-page",
        "handover.process": "web",
        "handover.release": release.to_string(),
        "handover.deployment": "d-1",
        "handover.kind": "serve",
    });
    inspected(release, running, &labels)
}

fn inspected(release: u64, running: bool, labels: &Value) -> Container {
    let told = json!({
        "Id": format!("id-{release}"),
        "Name": format!("/status-page-web.r{release}"),
        "State": { "Running": running },
        "Config": { "Labels": labels },
    });
    Container::of(serde_json::from_value(told).unwrap())
}

fn going(old: &Old) -> (Vec<u64>, Vec<u64>) {
    let containers = old.containers.iter().map(|(_, _, release)| release.0).collect();
    (containers, old.releases.iter().map(|release| release.number.0).collect())
}

#[test]
fn three_good_ones_stay_and_those_before_go_whole() {
    let records: Vec<Record> = (1..=5).map(good).collect();
    let containers: Vec<Container> = (1..=5).map(|n| container(n, n == 5)).collect();
    let old = old(&records, &containers, ReleaseNumber(5), KEPT);
    assert_eq!(going(&old), (vec![1, 2], vec![1, 2]));
    assert_eq!(old.releases[0].images, [image(1)]);
}

#[test]
fn a_refused_one_goes_unless_it_was_just_at_work() {
    let records = [good(1), refused(2), refused(3)];
    assert_eq!(going(&old(&records, &[], ReleaseNumber(3), KEPT)), (vec![], vec![2]));
}

#[test]
fn what_runs_stays_whatever_it_is() {
    let records: Vec<Record> = (1..=5).map(good).collect();
    let old = old(&records, &[container(1, true), container(2, false)], ReleaseNumber(5), KEPT);
    assert_eq!(going(&old), (vec![2], vec![2]));
}

#[test]
fn an_image_that_another_release_needs_stays() {
    let mut records: Vec<Record> = (1..=5).map(good).collect();
    records[4].images = records[0].images.clone();
    let old = old(&records, &[], ReleaseNumber(5), KEPT);
    let images: Vec<Vec<ImageRef>> = old.releases.into_iter().map(|release| release.images).collect();
    assert_eq!(images, [vec![], vec![image(2)]]);
}

#[test]
fn without_records_containers_count_as_good_and_strangers_do_not_count() {
    let stranger = inspected(1, false, &json!({}));
    let mut containers: Vec<Container> = (2..=6).map(|n| container(n, false)).collect();
    containers.push(stranger);
    assert_eq!(going(&old(&[], &containers, ReleaseNumber(6), KEPT)), (vec![2, 3], vec![]));
}

#[test]
fn what_was_refreshed_takes_no_other_release_s_place() {
    let refresh =
        |release, of| Record { refresh: true, rollback_to: Some(ReleaseNumber(of)), ..good(release) };
    let records = [good(1), good(2), good(3), refresh(4, 3), refresh(5, 4)];
    assert_eq!(going(&old(&records, &[], ReleaseNumber(5), KEPT)), (vec![], vec![3, 4]));
    // A refresh that was refused has taken nobody's place.
    let refused = Record { refresh: true, rollback_to: Some(ReleaseNumber(3)), ..refused(4) };
    assert_eq!(going(&old(&[good(2), good(3), refused], &[], ReleaseNumber(4), 2)), (vec![], vec![]));
}

#[test]
fn as_many_are_kept_as_the_configuration_says() {
    let records: Vec<Record> = (1..=5).map(good).collect();
    assert_eq!(going(&old(&records, &[], ReleaseNumber(5), 2)).1, [1, 2, 3]);
    assert_eq!(going(&old(&records, &[], ReleaseNumber(5), 5)).1, [0; 0]);
}
