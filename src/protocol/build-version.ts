/** The version of this build, as the leases of a deployment show it; a test holds it equal to package.json's. */
export const BUILD_VERSION = '0.1.0';
