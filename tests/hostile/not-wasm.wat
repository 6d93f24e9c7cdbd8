;; The file is another one under the name of a plugin: it begins as a GIF image.
;; fails: load
;; kind: not-wasm

(module binary "GIF89a\01\00\01\00")
