/// Names of objects as EVCap compares and joins them.
package enum VisualName {
    /// `text` in lower case, the characters `_!,'"()*#:;~` as spaces, runs of white space as one space, without a line
    /// break at its end and without spaces around it.
    ///
    /// Exactly what this Python gives (`caption_engine` of `Jiaxuan-Li/EVCap`), scalar by scalar:
    ///
    /// ```python
    /// s = re.sub(r"([_!,'\"()*#:;~])", " ", s.lower())
    /// s = re.sub(r"\s{2,}", " ", s)
    /// s = s.rstrip("\n").strip(" ")
    /// ```
    ///
    /// A single tab or line break inside stays as it is.
    package static func normalised(_ text: String) -> String {
        var scalars: [Unicode.Scalar] = []
        var spaces = 0
        for scalar in PythonText.lower(text) {
            let scalar = isReplaced(scalar) ? " " : scalar
            spaces = PythonText.isSpace(scalar) ? spaces + 1 : 0
            if spaces > 1 {
                scalars[scalars.count - 1] = " "
            } else {
                scalars.append(scalar)
            }
        }
        var kept = scalars[...]
        while kept.last == "\n" { kept.removeLast() }
        while kept.last == " " { kept.removeLast() }
        while kept.first == " " { kept.removeFirst() }
        var name = String.UnicodeScalarView()
        name.append(contentsOf: kept)
        return String(name)
    }

    private static func isReplaced(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "_", "!", ",", "'", "\"", "(", ")", "*", "#", ":", ";", "~": true
        default: false
        }
    }
}
