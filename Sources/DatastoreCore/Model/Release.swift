/// The release that this source is of.
public enum Release {
    public static let version = "0.1.0"
}
