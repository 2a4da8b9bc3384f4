public import ArgumentParser
public import DatastoreCore

/// How a dense and a lexical ranking become one.
struct FusionFlags: ParsableArguments {
    @Option(help: "Beside --lexical: fuse ranks or scores. (default: rrf)")
    var fusion: Fusion.Method?

    @Option(help: ArgumentHelp("Weight of the dense ranking or score. (default: 1)", valueName: "weight"))
    var denseWeight: Float?

    @Option(help: ArgumentHelp("Weight of the lexical ranking or score. (default: 1)", valueName: "weight"))
    var lexicalWeight: Float?

    @Option(help: ArgumentHelp("The constant of rrf. (default: 60)", valueName: "n"))
    var rrfConstant: Int?

    @Option(help: ArgumentHelp("How many of each ranking rrf counts. (default: 100)", valueName: "n"))
    var depth: Int?

    /// Nil when nothing is said.
    var value: Fusion? {
        guard fusion != nil || denseWeight != nil || lexicalWeight != nil || rrfConstant != nil || depth != nil else {
            return nil
        }
        let standard = Fusion()
        return Fusion(
            method: fusion ?? standard.method, denseWeight: denseWeight ?? standard.denseWeight,
            lexicalWeight: lexicalWeight ?? standard.lexicalWeight, constant: rrfConstant ?? standard.constant,
            depth: depth ?? standard.depth)
    }
}

/// A second stage by a reranker.
struct RerankFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Order the first results by a reranker of the daemon (capstand --reranker NAME=URL).", valueName: "name"))
    var rerank: String?

    @Option(help: ArgumentHelp("What the reranker compares texts with; else --text.", valueName: "text"))
    var rerankQuery: String?

    @Option(
        help: ArgumentHelp("How many results are reranked. (default: \(Rerank.defaultFetch))", valueName: "n"))
    var rerankFetch: Int?

    func validate() throws {
        guard rerank != nil || (rerankQuery == nil && rerankFetch == nil) else {
            throw ValidationError("--rerank-query and --rerank-fetch go with --rerank NAME.")
        }
    }

    var value: Rerank? {
        rerank.map { Rerank(reranker: $0, query: rerankQuery, fetch: rerankFetch ?? Rerank.defaultFetch) }
    }
}

/// How far a search looks, where a version has an index.
struct EffortFlags: ParsableArguments {
    @Flag(help: "Look at all entries, whatever index the version has.")
    var exact = false

    @Option(help: ArgumentHelp("Graphs: candidates kept while searching; else the version's.", valueName: "n"))
    var efSearch: Int?

    @Option(help: ArgumentHelp("Lists: how many are searched; else the version's.", valueName: "n"))
    var nprobe: Int?

    var value: SearchEffort { SearchEffort(exact: exact, efSearch: efSearch, nprobe: nprobe) }
}

/// How the hits of several vectors become one list of names (EVCap).
struct MergeFlags: ParsableArguments {
    @Flag(help: "One answer to all vectors: their hits together, as names.")
    var merge = false

    @Option(help: ArgumentHelp("Hits that each vector brings. (default: 5)", valueName: "n"))
    var perVector: Int?

    @Option(help: ArgumentHelp("Hits that are kept of all. (default: 32)", valueName: "n"))
    var limit: Int?

    @Option(help: ArgumentHelp("Between the names. (default: \" [SEP] \")", valueName: "text"))
    var separator: String?

    func validate() throws {
        guard merge || (perVector == nil && limit == nil && separator == nil) else {
            throw ValidationError("--per-vector, --limit and --separator go with --merge.")
        }
    }

    var value: VectorMerge? {
        let standard = VectorMerge()
        return merge
            ? VectorMerge(
                perVector: perVector ?? standard.perVector, limit: limit ?? standard.limit,
                separator: separator ?? standard.separator)
            : nil
    }
}

extension Fusion.Method: ExpressibleByArgument {}
