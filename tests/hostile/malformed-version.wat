;; It is a module of version 2 of WebAssembly, which does not exist.
;; fails: load
;; kind: malformed

(module binary
  "\00asm\02\00\00\00"
  "\00\0c\07faa.abi\01\00\00\00") ;; the section faa.abi
