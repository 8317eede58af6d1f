"""Reading, verifying and building `.mosis` packages: files and signatures only, no database and no HTTP."""
