//! What ends the process, and with which code. Only `main` turns it into a number.

/// Every code that the process ends with, and what it says.
pub const CODES: [(u8, &str); 11] = [
    (0, "Done."),
    (64, "The command line is wrong."),
    (65, "The input cannot be used."),
    (66, "There is no such input or interface."),
    (69, "The interface is gone, or no daemon answers; status: it is not capturing."),
    (70, "A bug in gatewatch."),
    (71, "The operating system refused."),
    (73, "A file or folder cannot be written."),
    (74, "Reading or writing failed."),
    (77, "A permission is missing."),
    (78, "The settings cannot be used."),
];

/// Why the process ends with an error; the variants follow sysexits.h.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// 70: an error of the program itself.
    #[error("this is a bug in gatewatch, please report it: {0}")]
    Bug(String),
    /// 73: a file or folder cannot be written.
    #[error("{0}")]
    CannotWrite(String),
    /// 78: the settings cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// 69: the interface is gone.
    #[error("{0}")]
    DeviceLost(String),
    /// 74: reading or writing failed.
    #[error("{0}")]
    Io(String),
    /// 66: there is no such input.
    #[error("{0}")]
    NoInput(String),
    /// 71: the operating system refused.
    #[error("{0}")]
    Os(String),
    /// 77: a permission is missing.
    #[error("{0}")]
    Permission(String),
    /// 65: the input cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// 64: the command line is wrong.
    #[error("{0}")]
    Usage(String),
}

impl Fatal {
    /// The exit code of the contract.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Unusable(_) => 65,
            Self::NoInput(_) => 66,
            Self::DeviceLost(_) => 69,
            Self::Bug(_) => 70,
            Self::Os(_) => 71,
            Self::CannotWrite(_) => 73,
            Self::Io(_) => 74,
            Self::Permission(_) => 77,
            Self::Configuration(_) => 78,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_told_and_in_order() {
        let makes: [fn(String) -> Fatal; 10] = [
            Fatal::Usage,
            Fatal::Unusable,
            Fatal::NoInput,
            Fatal::DeviceLost,
            Fatal::Bug,
            Fatal::Os,
            Fatal::CannotWrite,
            Fatal::Io,
            Fatal::Permission,
            Fatal::Configuration,
        ];
        let codes = std::iter::once(0).chain(makes.iter().map(|make| make(String::new()).code()));
        assert_eq!(codes.collect::<Vec<_>>(), CODES.map(|(code, _)| code));
    }
}
