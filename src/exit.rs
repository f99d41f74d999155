//! What ends the process, and with which code. Only `main` turns it into a number.

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
