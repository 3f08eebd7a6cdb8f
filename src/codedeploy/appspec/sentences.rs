//! What both agents say, word for word (`application_specification/*.rb` of 1.8, `error.rs` of 2.x).

pub(super) fn version(value: &str) -> String {
    format!(
        "The deployment failed because an invalid version value ({value}) was entered in the application specification file. \
         Make sure your AppSpec file specifies \"0.0\" as the version, and then try again."
    )
}

pub(super) fn os(value: &str) -> String {
    format!(
        "The deployment failed because the application specification file specifies an unsupported operating system ({value}). \
         Specify either \"linux\" or \"windows\" in the os section of the AppSpec file, and then try again."
    )
}

pub(super) const LOCATION: &str = "The deployment failed because the application specification file specifies a script with no \
     location value. Specify the location in the hooks section of the AppSpec file, and then try again.";

pub(super) const TIMEOUT: &str = "The deployment failed because an invalid timeout value was provided for a script in the \
     application specification file. Make corrections in the hooks section of the AppSpec file, and then try again.";

pub(super) const SOURCE: &str = "The deployment failed because the application specification file specifies a destination \
     file, but no source file. Update the files section of the AppSpec file, and then try again.";

pub(super) fn destination(source: &str) -> String {
    format!(
        "The deployment failed because the application specification file specifies only a source file ({source}). Add the \
         name of the destination file to the files section of the AppSpec file, and then try again."
    )
}

pub(super) const OBJECT: &str = "The deployment failed because a permission listed in the application specification file has \
     no object value. Update the permissions section of the AppSpec file, and then try again.";

pub(super) fn object_type(value: &str) -> String {
    format!(
        "The deployment failed because the application specification file specifies a permission for an object type not \
         supported for permissions ({value}). Update the permissions section of the AppSpec file, and then try again."
    )
}

pub(super) fn file_exists(value: &str) -> String {
    format!(
        "The deployment failed because an invalid file_exists_behavior value ({value}) was entered in the application \
         specification file. Make sure your AppSpec file specifies one of DISALLOW,OVERWRITE,RETAIN as the \
         file_exists_behavior, and then try again."
    )
}

pub(super) const EMPTY: &str = "The deployment failed because the application specification file was empty. Make sure your \
     AppSpec file defines at minimum the 'version' and 'os' properties.";

/// Of 2.x, around what its parser says.
pub(super) fn yaml(problem: &str) -> String {
    format!("The deployment failed because of a YAML parsing error: {problem}")
}

/// Ruby's, where a method is called on what does not have it.
pub(super) fn no_method(name: &str, class: &str) -> String {
    format!("undefined method `{name}' for {class}")
}
