// The handlers of the design this project comes from, on net/http: what `make bench` compares with.
//
// Two differences, both in the reference's favour: the versions are in memory instead of SQLite, and nothing checks a
// package's signature or a caller's token. Like the design it never calls fsync.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

type version struct {
	DeveloperID string `json:"developer_id"`
	AppID       string `json:"app_id"`
	VersionCode int    `json:"version_code"`
	VersionName string `json:"version_name"`
	Size        int64  `json:"size"`
	Signature   string `json:"signature"`
	Path        string `json:"-"`
}

type portal struct {
	root    string
	mutex   sync.RWMutex
	latest  map[string]version
	uploads int
}

func respondJSON(w http.ResponseWriter, status int, body interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func respondError(w http.ResponseWriter, status int, code, message string) {
	respondJSON(w, status, map[string]string{"code": code, "message": message})
}

// POST /api/apps/{app_id}/versions, multipart.
func (p *portal) upload(w http.ResponseWriter, r *http.Request, appID string) {
	r.ParseMultipartForm(50 << 20)
	file, _, err := r.FormFile("package")
	if err != nil {
		respondError(w, http.StatusBadRequest, "INVALID_FILE", "No package file")
		return
	}
	defer file.Close()
	code, _ := strconv.Atoi(r.FormValue("version_code"))
	p.mutex.Lock()
	p.uploads++
	id := strconv.Itoa(p.uploads)
	p.mutex.Unlock()

	tempPath := filepath.Join(p.root, "temp", id, "package.mosis")
	os.MkdirAll(filepath.Dir(tempPath), 0o755)
	dst, err := os.Create(tempPath)
	if err != nil {
		respondError(w, http.StatusInternalServerError, "STORAGE_ERROR", err.Error())
		return
	}
	defer dst.Close()
	size, err := io.Copy(dst, file)
	if err != nil {
		respondError(w, http.StatusInternalServerError, "STORAGE_ERROR", err.Error())
		return
	}

	finalPath := filepath.Join(p.root, "packages", "acme", appID, strconv.Itoa(code), "package.mosis")
	os.MkdirAll(filepath.Dir(finalPath), 0o755)
	if err := os.Rename(tempPath, finalPath); err != nil {
		respondError(w, http.StatusInternalServerError, "STORAGE_ERROR", err.Error())
		return
	}
	saved := version{"acme", appID, code, r.FormValue("version_name"), size, "", finalPath}
	respondJSON(w, http.StatusCreated, saved)
}

// GET /api/store/apps/{app_id}
func (p *portal) info(w http.ResponseWriter, appID string) {
	p.mutex.RLock()
	v, found := p.latest[appID]
	p.mutex.RUnlock()
	if !found {
		respondError(w, http.StatusNotFound, "NOT_FOUND", "App not found")
		return
	}
	respondJSON(w, http.StatusOK, map[string]interface{}{
		"download_url": fmt.Sprintf("/downloads/%s/%s/%d/package.mosis", v.DeveloperID, v.AppID, v.VersionCode),
		"version":      v.VersionName,
		"size":         v.Size,
		"signature":    v.Signature,
	})
}

// GET /api/store/apps/{app_id}/download
func (p *portal) download(w http.ResponseWriter, appID string) {
	p.mutex.RLock()
	v, found := p.latest[appID]
	p.mutex.RUnlock()
	if !found {
		respondError(w, http.StatusNotFound, "NOT_FOUND", "App not found")
		return
	}
	file, err := os.Open(v.Path)
	if err != nil {
		respondError(w, http.StatusNotFound, "FILE_NOT_FOUND", "Package not available")
		return
	}
	defer file.Close()
	stat, _ := file.Stat()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%s-%s.mosis", appID, v.VersionName))
	w.Header().Set("Content-Length", strconv.FormatInt(stat.Size(), 10))
	w.Header().Set("X-Mosis-Version", v.VersionName)
	w.Header().Set("X-Mosis-Signature", v.Signature)
	io.Copy(w, file)
}

func (p *portal) store(w http.ResponseWriter, r *http.Request) {
	appID, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/store/apps/"), "/")
	if rest == "download" {
		p.download(w, appID)
	} else {
		p.info(w, appID)
	}
}

func (p *portal) apps(w http.ResponseWriter, r *http.Request) {
	appID, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/apps/"), "/")
	if r.Method != http.MethodPost || rest != "versions" {
		respondError(w, http.StatusNotFound, "NOT_FOUND", "No such route")
		return
	}
	p.upload(w, r, appID)
}

// Usage: reference ADDRESS ROOT, with the versions as a JSON list on standard input.
func main() {
	p := &portal{root: os.Args[2], latest: map[string]version{}}
	var versions []version
	if err := json.NewDecoder(os.Stdin).Decode(&versions); err != nil {
		log.Fatal(err)
	}
	for _, v := range versions {
		v.Path = filepath.Join(p.root, "packages", v.DeveloperID, v.AppID, strconv.Itoa(v.VersionCode), "package.mosis")
		p.latest[v.AppID] = v
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/store/apps/", p.store)
	mux.HandleFunc("/api/apps/", p.apps)
	for prefix, area := range map[string]string{"/downloads/": "packages", "/assets/": "assets"} {
		mux.Handle(prefix, http.StripPrefix(prefix, http.FileServer(http.Dir(filepath.Join(p.root, area)))))
	}
	log.Fatal(http.ListenAndServe(os.Args[1], mux))
}
