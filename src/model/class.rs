//! Attack classes: one enum, one table. Names, titles and weights come from its rows.

use std::fmt;

use crate::model::grade::Grade;

/// What one attempt of a class is (contract §3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    /// One second of a flood.
    FloodSecond,
    /// One failed login.
    Login,
    /// One probed port or address.
    Probe,
    /// One application request.
    Request,
}

impl Unit {
    /// Every unit, in the order of the variants.
    pub const ALL: [Self; 4] = [Self::FloodSecond, Self::Login, Self::Probe, Self::Request];

    /// The name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FloodSecond => "flood_second",
            Self::Login => "login",
            Self::Probe => "probe",
            Self::Request => "request",
        }
    }

    /// What one attempt is, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::FloodSecond => "Seconds of floods",
            Self::Login => "Failed logins",
            Self::Probe => "Probed ports and addresses",
            Self::Request => "Attack requests",
        }
    }
}

/// What is seen of a class in a conversation that is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sight {
    /// Nothing: it is in what is said.
    Hidden,
    /// Lengths, times and handshakes speak for it: marked as inferred.
    Inferred,
    /// All: it is in the packets, not in what they say.
    Plain,
}

/// How bad a success would be; the numbers are those of EVE (1 is the worst).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// 1
    High,
    /// 2
    Medium,
    /// 3
    Low,
}

impl Severity {
    /// The number in `alert.severity`.
    pub const fn number(self) -> u8 {
        match self {
            Self::High => 1,
            Self::Medium => 2,
            Self::Low => 3,
        }
    }
}

/// One row of the class table.
#[derive(Debug)]
pub struct ClassRow {
    /// The class itself. Invariant: row `i` holds the variant with discriminant `i`.
    pub class: Class,
    /// Stable id in files: `web.sqli`.
    pub id: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// What one attempt is.
    pub unit: Unit,
    /// Least grade at which a country may be named for it.
    pub grade_min: Grade,
    /// Severity.
    pub severity: Severity,
    /// CAPEC number of the attack pattern.
    pub capec: u16,
    /// MITRE ATT&CK technique.
    pub technique: &'static str,
    /// Suricata's classtype, for shippers that map it.
    pub classtype: &'static str,
}

macro_rules! classes {
    ($($variant:ident $id:literal $title:literal $unit:ident $grade:ident $severity:ident $capec:literal $technique:literal $classtype:literal)*) => {
        /// An attack class. The order is that of the contract; it decides ties between equal weights.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[repr(u8)]
        pub enum Class {
            $(#[doc = $title] $variant,)*
        }

        /// The class table.
        pub const CLASSES: &[ClassRow] = &[
            $(ClassRow {
                class: Class::$variant,
                id: $id,
                title: $title,
                unit: Unit::$unit,
                grade_min: Grade::$grade,
                severity: Severity::$severity,
                capec: $capec,
                technique: $technique,
                classtype: $classtype,
            },)*
        ];
    };
}

classes! {
    ExploitService "exploit.service" "Exploit of a service outside HTTP" Request E1 High 310 "T1190" "attempted-admin"
    WebInject "web.inject" "LDAP, CRLF, SSI, mail and other injection" Request E2 Medium 248 "T1190" "web-application-attack"
    WebSqli "web.sqli" "SQL injection" Request E2 High 66 "T1190" "web-application-attack"
    WebNosqli "web.nosqli" "NoSQL injection" Request E2 High 676 "T1190" "web-application-attack"
    WebXss "web.xss" "Cross-site scripting" Request E2 Medium 63 "T1059.007" "web-application-attack"
    WebLfi "web.lfi" "Path traversal and file disclosure" Request E2 High 126 "T1083" "web-application-attack"
    WebRfi "web.rfi" "Remote file inclusion" Request E2 High 253 "T1190" "web-application-attack"
    WebRce "web.rce" "Operating-system command injection" Request E2 High 88 "T1059" "attempted-admin"
    WebCode "web.code" "Script code injection" Request E2 High 242 "T1059" "web-application-attack"
    WebJava "web.java" "JNDI lookup, OGNL and Java deserialisation" Request E2 High 586 "T1190" "attempted-admin"
    WebXxe "web.xxe" "XML external entity" Request E2 High 221 "T1190" "web-application-attack"
    WebSsrf "web.ssrf" "Server-side request forgery" Request E2 High 664 "T1190" "web-application-attack"
    WebSsti "web.ssti" "Template injection" Request E2 High 242 "T1190" "web-application-attack"
    WebSmuggle "web.smuggle" "Request smuggling and response splitting" Request E2 High 33 "T1190" "protocol-command-decode"
    WebProtocol "web.protocol" "Malformed or evasive HTTP" Request E2 Low 272 "T1190" "protocol-command-decode"
    WebUpload "web.upload" "Malicious upload" Request E2 High 650 "T1505.003" "web-application-attack"
    WebShellprobe "web.shellprobe" "Probe for a web shell or backdoor" Request E2 Medium 87 "T1505.003" "web-application-activity"
    WebCve "web.cve" "Probe of a known product vulnerability" Request E2 High 310 "T1190" "attempted-admin"
    WebSensitive "web.sensitive" "Probe for sensitive files" Request E2 Medium 87 "T1595.003" "web-application-activity"
    WebScan "web.scan" "Web scanner" Request E2 Low 310 "T1595.002" "network-scan"
    WebSession "web.session" "Session fixation or cookie tampering" Request E2 Medium 61 "T1539" "web-application-attack"
    WebIot "web.iot" "Router or IoT exploit, malware fetch" Request E2 High 88 "T1105" "trojan-activity"
    WebProxyprobe "web.proxyprobe" "Open-proxy probe" Request E1 Low 310 "T1090" "attempted-recon"
    AuthWeb "auth.web" "Web login guessing" Login E2 Medium 49 "T1110" "suspicious-login"
    AuthSsh "auth.ssh" "SSH login guessing" Login E2 Medium 49 "T1110" "suspicious-login"
    AuthMail "auth.mail" "Mail login guessing" Login E2 Medium 49 "T1110" "suspicious-login"
    AuthFtp "auth.ftp" "FTP login guessing" Login E2 Medium 49 "T1110" "suspicious-login"
    AuthTelnet "auth.telnet" "Telnet login guessing" Login E2 Medium 49 "T1110" "default-login-attempt"
    AuthRemote "auth.remote" "Remote-desktop and file-share login guessing" Login E1 Medium 49 "T1110" "suspicious-login"
    AuthDb "auth.db" "Database login guessing" Login E2 Medium 49 "T1110" "suspicious-login"
    AuthVoip "auth.voip" "Telephony login guessing" Login E2 Medium 49 "T1110" "suspicious-login"
    ScanPort "scan.port" "Port scan" Probe E0 Low 300 "T1046" "network-scan"
    ScanSweep "scan.sweep" "Address sweep" Probe E0 Low 292 "T1018" "network-scan"
    ScanService "scan.service" "Service probe" Probe E1 Low 541 "T1046" "network-scan"
    DosVolume "dos.volume" "Volume flood" FloodSecond E0 High 125 "T1498.001" "denial-of-service"
    DosApp "dos.app" "Application flood" FloodSecond E1 High 488 "T1499.002" "denial-of-service"
    DosReflect "dos.reflect" "Reflection or amplification" FloodSecond E0 High 490 "T1498.002" "denial-of-service"
}

impl Class {
    /// Its row of the table.
    pub fn row(self) -> &'static ClassRow {
        #[expect(clippy::indexing_slicing, reason = "one row a variant, in order; a test holds it")]
        &CLASSES[self as usize]
    }

    /// Its id: `web.sqli`.
    pub fn id(self) -> &'static str {
        self.row().id
    }

    /// The class of that id.
    pub fn from_id(id: &str) -> Option<Self> {
        CLASSES.iter().find(|row| row.id == id).map(|row| row.class)
    }

    /// Whether attempts of it belong to the headline: `web.*`, `auth.*` and `exploit.*`.
    pub fn in_headline(self) -> bool {
        matches!(self.row().unit, Unit::Request | Unit::Login)
    }

    /// What encryption leaves to be seen of it.
    pub fn through_encryption(self) -> Sight {
        match self {
            Self::AuthSsh | Self::AuthRemote | Self::DosApp => Sight::Inferred,
            _ if matches!(self.row().unit, Unit::FloodSecond | Unit::Probe) => Sight::Plain,
            _ => Sight::Hidden,
        }
    }

    /// Whether each attempt gets an event line of its own (`web.*`).
    pub fn is_web(self) -> bool {
        self.id().starts_with("web.")
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ClassSet(u64);

impl ClassSet {
    /// Adds a class.
    pub fn insert(&mut self, class: Class) {
        self.0 |= 1 << class as u8;
    }

    /// Takes a class out.
    pub fn remove(&mut self, class: Class) {
        self.0 &= !(1 << class as u8);
    }

    /// Whether it holds `class`.
    pub fn contains(self, class: Class) -> bool {
        self.0 & (1 << class as u8) != 0
    }

    /// Its members in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Class> {
        CLASSES.iter().map(|row| row.class).filter(move |class| self.contains(*class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_finds_its_row_and_its_id() {
        for (index, row) in CLASSES.iter().enumerate() {
            assert_eq!(row.class as usize, index);
            assert_eq!(Class::from_id(row.id), Some(row.class));
        }
        for (index, unit) in Unit::ALL.into_iter().enumerate() {
            assert_eq!(unit as usize, index);
        }
        assert!(CLASSES.len() <= 64, "ClassSet is one word");
    }

    #[test]
    fn the_headline_is_web_auth_and_exploit() {
        for row in CLASSES {
            let family = row.id.split('.').next().unwrap();
            assert_eq!(row.class.in_headline(), ["web", "auth", "exploit"].contains(&family), "{}", row.id);
        }
    }

    #[test]
    fn a_set_gives_back_its_members_in_table_order() {
        let mut set = ClassSet::default();
        set.insert(Class::WebXss);
        set.insert(Class::WebSqli);
        set.insert(Class::WebRce);
        set.remove(Class::WebRce);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Class::WebSqli, Class::WebXss]);
    }
}
