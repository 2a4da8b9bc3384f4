/// Numbers in the text format of Prometheus, 0.0.4.
struct MetricsText {
    private(set) var text = ""

    typealias Sample = (labels: [String: String], value: Double)

    /// A number that goes up and down, or several of them with labels.
    mutating func gauge(_ name: String, _ help: String, _ samples: [Sample]) {
        begin(name, help, "gauge")
        for sample in samples { add(name, sample.labels, Self.number(sample.value)) }
    }

    /// How long things took, for each value of a label.
    mutating func histogram(
        _ name: String, _ help: String, label: String, _ histograms: [(value: String, durations: DurationCounts)]
    ) {
        begin(name, help, "histogram")
        for (value, durations) in histograms {
            var total = 0
            for (bound, count) in zip(DurationCounts.bounds.map(Self.number) + ["+Inf"], durations.counts) {
                total += count
                add("\(name)_bucket", [label: value, "le": bound], String(total))
            }
            add("\(name)_sum", [label: value], Self.number(durations.seconds))
            add("\(name)_count", [label: value], String(total))
        }
    }

    private mutating func begin(_ name: String, _ help: String, _ type: String) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    private mutating func add(_ name: String, _ labels: [String: String], _ value: String) {
        let shown = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\(Self.escaped($0.value))\"" }
        text += "\(name)\(shown.isEmpty ? "" : "{\(shown.joined(separator: ","))}") \(value)\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
    }
}
