import ArgumentParser
import DatastoreCore

/// The options that say what makes the vectors of a datastore.
struct EncoderOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The model that makes the vectors.", valueName: "model[@revision]"),
        transform: { Encoder(argument: $0) })
    var encoder: Encoder?

    @Option(
        help: ArgumentHelp(
            "The encoder of the daemon (capstand --encoder NAME=URL) that makes the vectors of rows and questions that "
                + "come without.", valueName: "name"))
    var encoderEndpoint: String?

    func validate() throws {
        guard encoderEndpoint == nil || encoder != nil else {
            throw ValidationError("--encoder-endpoint goes with --encoder MODEL.")
        }
    }

    /// `key` with its encoder, unless it is sparse.
    func applied(to key: KeySpec) -> KeySpec {
        guard key.kind == .dense else { return key }
        var key = key
        key.encoder = encoder
        key.encoder?.endpoint = encoderEndpoint
        return key
    }
}
