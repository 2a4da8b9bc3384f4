import ArgumentParser
import Foundation

/// Measures a release build of capstand on this machine: the scripts `Tools/bench-*` run it.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures capstand on this machine.",
        subcommands: [
            BenchQuery.self, BenchImport.self, BenchSparse.self, BenchSearch.self, BenchAnswer.self, BenchBundle.self,
            BenchPending.self, BenchLiving.self, BenchSwitch.self,
        ])
}

/// Says how far the benchmark is. Nobody reading it any more is no reason to stop.
func progress(_ text: String) {
    let line = Array("bench: \(text)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
}
