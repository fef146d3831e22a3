//! The example `http_files` serves files of any date, and folders with such files in them.

mod common;

use std::fs::File;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use common::site::Site;
use common::site::assert_status;
use common::site::body;
use common::site::field;
use common::site::get;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn set_modified(site: &Site, name: &str, time: SystemTime) {
    let file = File::options().write(true).open(site.path(name)).expect("the file");
    file.set_modified(time).expect("a new date");
}

#[test]
fn files_of_any_date_are_listed_and_served() {
    let site = Site::new();
    let server = site.serve(&[]);
    let second = Duration::from_secs(1);
    let times = [
        UNIX_EPOCH - second,
        UNIX_EPOCH - Duration::from_millis(1500),
        UNIX_EPOCH - 68 * YEAR,
        UNIX_EPOCH,
        UNIX_EPOCH + Duration::from_nanos(1),
        // Where 32 bits end, and where most file systems do.
        UNIX_EPOCH + Duration::from_secs(1 << 31),
        UNIX_EPOCH + 470 * YEAR,
        // More digits than HTTP has for a year, where the file system has them.
        UNIX_EPOCH + 9000 * YEAR,
    ];
    for time in times {
        set_modified(&site, "a.txt", time);
        let page = get(&server, "/", "");
        assert_status(&page, 200);
        assert!(page.contains("href=\"a.txt\""), "{time:?}: {page}");
        let file = get(&server, "/a.txt", "");
        assert_status(&file, 200);
        assert_eq!(body(&file), "0123456789", "{time:?}");
        let date = |name| field(&file, name).map(|date| httpdate::parse_http_date(date).expect(name));
        match date("Last-Modified") {
            Some(modified) => assert!(time >= UNIX_EPOCH && Some(modified) <= date("Date"), "{time:?}: {file}"),
            None => assert!(time < UNIX_EPOCH, "{time:?}: {file}"),
        }
    }
    assert!(server.stop().0.success());
}

/// RFC 9110, 8.8.2.1: it would say that the file has changed before it has.
#[test]
fn a_date_in_the_future_is_told_as_now() {
    let site = Site::new();
    let server = site.serve(&[]);
    set_modified(&site, "a.txt", SystemTime::now() + YEAR);
    let file = get(&server, "/a.txt", "");
    let [modified, date] = ["Last-Modified", "Date"].map(|name| field(&file, name).expect(name));
    assert_eq!(modified, date);
    assert!(server.stop().0.success());
}

#[test]
fn each_date_has_a_tag_of_its_own() {
    let site = Site::new();
    let server = site.serve(&[]);
    let mut tags: Vec<String> = [-2_000, -1_500, -1_000, -1, 0, 1, 1_000, 1_001, 1_500]
        .into_iter()
        .map(|millis: i64| {
            let distance = Duration::from_millis(millis.unsigned_abs());
            let time = if millis < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
            set_modified(&site, "a.txt", time);
            field(&get(&server, "/a.txt", ""), "ETag").expect("a tag").to_owned()
        })
        .collect();
    tags.sort_unstable();
    let all = tags.len();
    tags.dedup();
    assert_eq!(tags.len(), all, "{tags:?}");
    assert!(server.stop().0.success());
}
