use super::*;
use crate::protocol::request::{Defects, Header};

/// A request written in one line: `METHOD target [Header: value] [body]`, or an upload.
fn with_request<R>(line: &str, act: impl FnOnce(&Request<'_>) -> R) -> R {
    let mut parts = line.splitn(3, ' ');
    let method = parts.next().unwrap();
    let target = parts.next().unwrap_or("/");
    let rest = parts.next().unwrap_or_default();
    let mut headers = vec![("Host", "www.example.org".to_owned())];
    let mut body = String::new();
    if let Some(file) = rest.strip_prefix("multipart filename=") {
        headers.push(("Content-Type", "multipart/form-data; boundary=XX".to_owned()));
        body = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{file}\"\r\n\r\nx\r\n--XX--\r\n"
        );
    } else if let Some((name, value)) =
        rest.split_once(": ").filter(|(name, _)| !name.contains(['{', '=', '<', ' ']))
    {
        headers.push((name, value.to_owned()));
    } else if !rest.is_empty() {
        body = rest.to_owned();
    }
    let headers: Vec<Header<'_>> = headers
        .iter()
        .map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() })
        .collect();
    act(&Request {
        method: method.as_bytes(),
        target: target.as_bytes(),
        headers: &headers,
        body: body.as_bytes(),
        defects: Defects::default(),
    })
}

fn judge(detector: &Detector, line: &str) -> Verdict {
    with_request(line, |request| {
        detector.judge(request, "203.0.113.10:80".parse().unwrap(), &mut Scratch::default())
    })
}

fn detector(toml: &str) -> Detector {
    Detector::new(&toml::from_str(toml).unwrap()).unwrap()
}

#[test]
fn every_rule_fires_on_its_examples_and_is_quiet_on_the_others() {
    let detector = detector("");
    let mut wrong = Vec::new();
    for rule in detector.rules.rules() {
        let (fires, quiet) = &rule.examples;
        assert!(!fires.is_empty(), "{} has no example that must fire", rule.id);
        for line in fires {
            let evidence = match judge(&detector, line) {
                Verdict::Attack(judgement) => judgement.evidence,
                other => {
                    wrong.push(format!("{}: {line}: {other:?}", rule.id));
                    continue;
                }
            };
            if !evidence.iter().any(|evidence| evidence.rule == rule.id) {
                wrong.push(format!("{}: {line}: only {evidence:?}", rule.id));
            }
        }
        for line in quiet {
            if let Verdict::Attack(judgement) = judge(&detector, line) {
                wrong.push(format!("{} must be quiet: {line}: {:?}", rule.id, judgement.evidence));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Ordinary requests that look like attacks to careless rules.
const HARD_NEGATIVES: &[&str] = &[
    "GET /search?q=O%27Brien",
    "GET /search?q=select+the+best+union+jack+from+the+flag+shop",
    "GET /odata/Products?$filter=Price+gt+20+and+Name+eq+%27Milk%27&$orderby=Name",
    "POST /graphql {\"query\":\"query { user(id: 5) { name, posts { title } } }\"}",
    "GET /api Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF-_123",
    "POST /wfs <Filter><And><PropertyIsEqualTo><PropertyName>a</PropertyName><Literal>b</Literal></PropertyIsEqualTo></And></Filter>",
    "POST /post html=<p>Hello+<strong>world</strong>,+see+<a+href=\"https://www.example.org/a?b=c\">here</a>.</p>",
    "GET /report?path=C:%5CUsers%5Canna%5CDocuments%5Creport.docx",
    "POST /image data=iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "GET /collect?v=1&t=event&dl=https%3A%2F%2Fwww.example.org%2F&dt=Sale%20%26%20more&ul=en-us",
    "GET /page Referer: https://www.google.com/search?q=how+to+drop+table+in+sql",
    "GET /redirect?next=https%3A%2F%2Fwww.example.org%2Faccount%3Ftab%3D1",
    "GET /search?q=Tom+%26+Jerry%3B+the+movie",
    "GET /search?q=rock+%27n%27+roll+and+%22blues%22",
    "GET /calc?expr=(1%2B2)*3",
    "GET /tags?tag=c%2B%2B&tag=c%23",
    "GET /price?range=10-20&sort=price+asc",
    "GET /search?q=how+do+I+use+the+sleep+function",
    "POST /comment text=I+think+that+5+%3E+3+and+2+%3C+4,+don%27t+you%3F",
    "GET /template?name=$%7Btitle%7D",
    "GET /wiki/Cross-site_scripting",
    "GET /docs/etc/readme.html",
    "POST /api/items {\"name\":\"Bob's \\\"best\\\" tools\",\"price\":10,\"tags\":[\"a\",\"b\"]}",
    "GET /downloads/minutes%20copy(1).pdf",
    "POST /form parent[id]=5&parent[name]=x&self[0]=a&top[left]=1",
    "GET /?cmd=find&q=shoes",
    "GET /search?q=ip+192.168.0.1+login",
    "GET /search?q=ping+time+too+high",
    "GET /ReportServer/Pages/ReportViewer.aspx?%2fSales%2fMonthly&rs:Command=Render",
    "GET /geoserver/wms?service=WMS&version=1.1.0&request=GetMap&layers=town:roads&bbox=0,0,1,1",
    "POST /rest/V1/guest-carts/abc/estimate-shipping-methods {\"address\":{\"country_id\":\"DE\"}}",
    "GET /uploads/user/avatar/17/portrait.png",
    "GET /wp-json/wp/v2/users/me",
    "GET /autodiscover/autodiscover.xml",
    "GET /owa/auth/logon.aspx?replaceCurrent=1&url=https%3a%2f%2fmail.example.org%2fowa%2f",
    "POST /comment text=Use+print(x)+to+show+a+value+and+len(y)+for+its+length,+as+the+book+tells+on+page+12",
    "POST /wiki text=%3Cpre%3Efor+i+in+range(10):%0A++++print(i)%3C/pre%3E+%0Athat+is+how+a+loop+is+written+in+Python,+see+the+manual",
    "GET /search?q=select+from+where+group+by+order+by+explained",
    "GET /products?filter=(price+gt+10)+and+(color+eq+%27red%27)",
    "GET /api?fields=id,name,parent(id,name)&expand=items(limit:5)",
    "GET /search?q=C%2B%2B+std::vector+vs+array",
    "GET /search?q=what+is+%22union+all%22+in+sql",
    "GET /login?next=/account/settings&lang=en-GB",
    "GET /img?url=https%3A%2F%2Fcdn.example.org%2Fa%2Fb.jpg&w=1920&h=1080",
    "GET /beacon?r=http%3A%2F%2Fwww.example.org%2Fa%3Fb%3Dc%26d%3De&t=1447971381743&z=-60",
    "GET /map?bbox=-10.5,40.2,5.1,50.9&layers=a;b;c",
];

#[test]
fn ordinary_requests_that_look_like_attacks_are_none() {
    let detector = detector("");
    for line in HARD_NEGATIVES {
        let verdict = judge(&detector, line);
        assert!(!matches!(verdict, Verdict::Attack(_)), "{line}: {verdict:?}");
    }
}

#[test]
fn one_request_is_one_attempt_with_a_primary_class_and_evidence() {
    let Verdict::Attack(judgement) =
        judge(&detector(""), "GET /?id=1%27+union+select+1,2--&f=../../../etc/passwd&q=<script>x</script>")
    else {
        panic!("an attack");
    };
    assert_eq!(judgement.class, Class::WebSqli);
    assert!(judgement.labels.contains(Class::WebLfi) && judgement.labels.contains(Class::WebXss));
    assert!(judgement.evidence.iter().any(|evidence| &*evidence.place == "query:id"));
}

#[test]
fn a_guess_of_a_tool_that_names_itself_is_a_login_and_what_it_fetches_for_it_is_not() {
    let class = |method: &str, more: Option<(&str, &str)>, body: &str| {
        let mut headers = vec![Header { name: b"User-Agent", value: b"Mozilla/5.0 (Hydra)" }];
        headers.extend(more.map(|(name, value)| Header { name: name.as_bytes(), value: value.as_bytes() }));
        let request = Request {
            method: method.as_bytes(),
            target: b"/login",
            headers: &headers,
            body: body.as_bytes(),
            defects: Defects::default(),
        };
        let server = "203.0.113.10:80".parse().unwrap();
        match detector("").judge(&request, server, &mut Scratch::default()) {
            Verdict::Attack(judgement) => judgement.class,
            other => panic!("{other:?}"),
        }
    };
    let form = Some(("Content-Type", "application/x-www-form-urlencoded"));
    assert_eq!(class("POST", form, "username=clerk&password=abc"), Class::AuthWeb);
    assert_eq!(class("GET", Some(("Authorization", "Basic Y2xlcms6YWJj")), ""), Class::AuthWeb);
    assert_eq!(class("GET", None, ""), Class::WebScan);
    let injected = class("POST", form, "username=clerk&password=1'+union+select+1,2--+-");
    assert_eq!(injected, Class::WebSqli, "what is worse than its agent stays what it is");
}

#[test]
fn a_disabled_rule_is_silent_and_an_unknown_one_is_refused() {
    let line = "GET / User-Agent: sqlmap/1.7";
    assert!(matches!(judge(&detector(""), line), Verdict::Attack(_)));
    assert_eq!(judge(&detector("[detect]\ndisable = [\"scan.agent\"]"), line), Verdict::Clean);
    let settings = toml::from_str("[detect]\ndisable = [\"no.such\"]").unwrap();
    assert!(Detector::new(&settings).unwrap_err().to_string().contains("no.such"));
}

#[test]
fn an_exception_counts_apart_only_where_every_key_matches() {
    let detector = detector(
        "[[site]]\nname = \"wiki\"\nhosts = [\"www.example.org\"]\n\
         [[detect.exception]]\nsite = \"wiki\"\npath = \"/wiki/*\"\nparameter = \"text\"\nrule = \"sqli.union\"",
    );
    let payload = "1+union+select+1,2";
    assert_eq!(judge(&detector, &format!("GET /wiki/edit?text={payload}")), Verdict::Excepted);
    assert!(matches!(judge(&detector, &format!("GET /blog/edit?text={payload}")), Verdict::Attack(_)));
    assert!(matches!(judge(&detector, &format!("GET /wiki/edit?id={payload}")), Verdict::Attack(_)));
}

#[test]
fn malformed_framing_is_smuggling_and_an_absolute_target_a_proxy_probe() {
    let detector = detector("");
    with_request("POST /", |request| {
        let mut defects = Defects::default();
        defects.insert(Defects::LENGTH_AND_ENCODING);
        let verdict = detector.judge(
            &Request { defects, ..*request },
            "203.0.113.10:80".parse().unwrap(),
            &mut Scratch::default(),
        );
        assert!(matches!(verdict, Verdict::Attack(judgement) if judgement.class == Class::WebSmuggle));
    });
    assert!(
        matches!(judge(&detector, "GET http://other.example/"), Verdict::Attack(judgement) if judgement.class == Class::WebProxyprobe)
    );
    assert_eq!(judge(&detector, "GET http://www.example.org/"), Verdict::Clean);
}

#[test]
fn padding_hides_no_payload() {
    let line = format!("POST /x q={}%27+union+select+1,2--", "a".repeat(50_000));
    assert!(matches!(judge(&detector(""), &line), Verdict::Attack(_)));
}

#[test]
fn a_rule_file_that_is_wrong_is_refused_with_file_and_rule() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let load = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let mut settings = Settings::default();
        settings.detect.rules = vec![file.clone()];
        Detector::new(&settings).map(|detector| detector.set_hash().to_owned())
    };
    let good = "[[rule]]\nid = \"own.x\"\nclass = \"web.scan\"\nweight = 0.95\ntitle = \"x\"\non = [\"path\"]\nlits = [\"/zzz\"]\nregex = '/zzz$'\n";
    assert_ne!(load(good).unwrap(), detector("").set_hash());
    for (text, part) in [
        (good.replace("web.scan", "web.none"), "class \"web.none\""),
        (good.replace("0.95", "3.0"), "0 to 1"),
        (good.replace("'/zzz$'", "'('"), "regex"),
        (good.replace("own.x", "sqli.union"), "taken"),
        (good.replace("title", "titel"), "titel"),
        (good.replace("\"/zzz\"", "\"\""), "literal"),
    ] {
        let error = load(&text).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("own.toml"), "{part} in {error}");
    }
}

proptest::proptest! {
    #[test]
    fn any_request_is_survived(target in proptest::collection::vec(0_u8..=255, 0..200), body in proptest::collection::vec(0_u8..=255, 0..200)) {
        static DETECTOR: std::sync::LazyLock<Detector> = std::sync::LazyLock::new(|| detector(""));
        let headers = [Header { name: b"Cookie", value: &body }, Header { name: b"X", value: &target }];
        let request = Request { method: b"POST", target: &target, headers: &headers, body: &body, defects: Defects::default() };
        DETECTOR.judge(&request, "203.0.113.10:80".parse().unwrap(), &mut Scratch::default());
    }
}

#[test]
fn a_rule_of_the_operator_is_limited_by_words_names_length_and_characters() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.toml");
    let rule = r#"
[[rule]]
id = "own.tool"
class = "web.rce"
weight = 0.95
title = "Own"
on = ["arg"]
words = ["frob.exe", "knit"]
names = ["tool", "run_*"]
need = "!"
max = 20
regex = '^<word>!'
"#;
    std::fs::write(&file, rule).unwrap();
    let detector = detector(&format!("[detect]\nrules = [{:?}]\n", file.display().to_string()));
    let fires = |line: &str| matches!(judge(&detector, line), Verdict::Attack(_));
    assert!(fires("GET /?tool=frob.exe!") && fires("GET /?RUN_x=KNIT!now"));
    for line in [
        "GET /?other=knit!",
        "GET /?tool=frobxexe!",
        "GET /?tool=knit",
        "GET /?tool=knit!and+a+text+that+is+too+long",
    ] {
        assert!(!fires(line), "{line}");
    }
}

/// For each rule of form a request that fires it and one that must not.
#[test]
fn every_rule_of_form_fires_and_is_quiet() {
    fn fires(id: &str, request: &Request<'_>) -> bool {
        let verdict =
            detector("").judge(request, "203.0.113.10:80".parse().unwrap(), &mut Scratch::default());
        matches!(verdict, Verdict::Attack(judgement) if judgement.evidence.iter().any(|one| &*one.rule == id))
    }
    let header =
        |name: &'static str, value: &'static str| Header { name: name.as_bytes(), value: value.as_bytes() };
    let host = header("Host", "www.example.org");
    let plain =
        Request { method: b"GET", target: b"/", headers: &[], body: b"", defects: Defects::default() };
    let with = |defect: Defects| Request { defects: defect, ..plain };
    let bad_type = [host, header("Content-Type", "multipart/odd; boundary=x")];
    let bad_charset = [host, header("Content-Type", "text/plain; charset=ibm037")];
    let bad_range = [host, header("Request-Range", "bytes=0-9")];
    let bad_connection = [host, header("Connection", "keep-alive, close")];
    let bad_agent = [host, header("User-Agent", " ")];
    let offsite = [host, header("Referer", "https://evil.test/")];
    let cases: Vec<(&str, Request<'_>)> = vec![
        ("smuggle.length-and-encoding", with(Defects::LENGTH_AND_ENCODING)),
        ("smuggle.transfer-encoding", with(Defects::TRANSFER_ENCODING)),
        ("smuggle.content-length", with(Defects::CONTENT_LENGTH)),
        ("protocol.nul", with(Defects::NUL)),
        ("protocol.overlap", with(Defects::CONFLICTING_OVERLAP)),
        ("protocol.method", Request { method: b"FROBNICATE", ..plain }),
        ("protocol.range", Request { headers: &bad_range, ..plain }),
        ("protocol.charset", Request { headers: &bad_charset, ..plain }),
        ("protocol.connection", Request { headers: &bad_connection, ..plain }),
        ("protocol.media-type", Request { headers: &bad_type, body: b"x", ..plain }),
        ("protocol.encoded-twice", Request { target: b"/?p=%25%36%31%25%36%32%25%36%33%25%36%34", ..plain }),
        ("protocol.agent", Request { headers: &bad_agent, ..plain }),
        ("session.offsite", Request { headers: &offsite, target: b"/?PHPSESSID=abc", ..plain }),
        ("proxy.absolute", Request { target: b"http://other.test/", headers: &offsite, ..plain }),
        ("proxy.connect", Request { method: b"CONNECT", target: b"other.test:443", ..plain }),
    ];
    let mut wrong = Vec::new();
    for (id, ..) in FORM_RULES {
        match cases.iter().find(|(known, _)| known == id) {
            Some((_, request)) if fires(id, request) => {}
            Some(_) => wrong.push(format!("{id} does not fire")),
            None => wrong.push(format!("{id} has no case")),
        }
        let fine = [host, header("Content-Type", "text/plain; charset=utf-8"), header("Connection", "close")];
        if fires(id, &Request { headers: &fine, body: b"x", ..plain }) {
            wrong.push(format!("{id} fires on an ordinary request"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
