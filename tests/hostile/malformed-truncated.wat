;; The file ends within a section, as after a download that was cut off.
;; fails: load
;; kind: malformed

(module binary
  "\00asm\01\00\00\00"
  "\00\0c\07faa.abi\01\00\00\00" ;; the section faa.abi
  "\01\10\01\60") ;; a section of 16 bytes, of which there are two
