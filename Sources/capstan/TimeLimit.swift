import ArgumentParser

/// A length of time as people write it: `30s`, `15m`, `3h`.
struct TimeLimit: ExpressibleByArgument {
    let duration: Duration
    /// As it was given.
    let shown: String

    init?(argument: String) {
        guard let unit = argument.last, let number = Int64(argument.dropLast()), (1...1_000_000).contains(number)
        else { return nil }
        switch unit {
        case "s": duration = .seconds(number)
        case "m": duration = .seconds(number * 60)
        case "h": duration = .seconds(number * 3600)
        default: return nil
        }
        shown = argument
    }
}
