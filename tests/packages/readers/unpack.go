// Unpacks archives as Go does: go run unpack.go ARCHIVE DIRECTORY ...
package main

import (
	"archive/zip"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func write(below string, entry *zip.File) {
	path := filepath.Join(below, entry.Name)
	if strings.HasSuffix(entry.Name, "/") {
		must(os.MkdirAll(path, 0o755))
		return
	}
	must(os.MkdirAll(filepath.Dir(path), 0o755))
	content, err := entry.Open()
	must(err)
	file, err := os.Create(path)
	must(err)
	_, err = io.Copy(file, content)
	must(err)
	must(file.Close())
}

func main() {
	for i := 1; i < len(os.Args); i += 2 {
		archive, err := zip.OpenReader(os.Args[i])
		must(err)
		for _, entry := range archive.File {
			write(os.Args[i+1], entry)
		}
		must(archive.Close())
	}
}
