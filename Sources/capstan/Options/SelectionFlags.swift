public import ArgumentParser
public import DatastoreCore

/// Which of the nearest are taken, and in which order (RobustCap).
struct SelectionFlags: ParsableArguments {
    @Option(help: "Which of the nearest are taken. (default: top)")
    var select: Selection.Method?

    @Option(help: ArgumentHelp("How many of the nearest are drawn from; else four times k.", valueName: "n"))
    var selectFrom: Int?

    @Option(help: "The order of those that are taken. (default: score)")
    var order: Selection.Order?

    @Option(help: ArgumentHelp("The same seed draws the same. (default: 0)", valueName: "n"))
    var seed: UInt64?

    /// Nil when nothing is said: the nearest, nearest first.
    var selection: Selection? {
        guard select != nil || selectFrom != nil || order != nil || seed != nil else { return nil }
        return Selection(method: select ?? .top, from: selectFrom, order: order ?? .score, seed: seed ?? 0)
    }
}

/// Results that differ from one another.
struct MMRFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Maximal marginal relevance: 1 is the plain order, 0 variety alone.", valueName: "lambda"))
    var mmr: Float?

    @Option(help: ArgumentHelp("How many of the nearest --mmr chooses from; else four times k.", valueName: "n"))
    var mmrFetch: Int?

    func validate() throws {
        guard mmrFetch == nil || mmr != nil else { throw ValidationError("--mmr-fetch goes with --mmr.") }
    }

    var value: MMR? { mmr.map { MMR(lambda: $0, fetch: mmrFetch) } }
}

extension Selection.Method: ExpressibleByArgument {}
extension Selection.Order: ExpressibleByArgument {}
